"""A training by Kubeflow Trainer: its real definitions take the runtime, and the TrainJob that the command makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.kit.names import MODEL_LABEL, REVISION
from delivery.clients.control_plane import ControlPlane, RefusedError
from delivery.operations import train
from tests.support.applied_components import applied
from tests.support.definitions import define
from tests.support.simulated import simulated_cluster

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(300)]
TRAINER = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/dev-training"
PROGRAM = """
from components.training.training_pipeline import TrainingPipeline
TrainingPipeline("train-shapes", {"namespace": "dev-training", "model": "shapes", 
    "image": "registry.invalid/shapes@sha256:0",
    "revision": "0123456", "tracking": {"uri": "http://tracking"}, "cpu": "1", "memory": "1Gi", "node_pool": "gpu",
    "store": {"bucket": "models", "keys": {"access_key": "a", "secret_key": "b"}}, "devices": {"nvidia.com/gpu": "2"},
    "workers": 3, "trainer": True})
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with simulated_cluster(tmp_path_factory.mktemp("plane")) as started:
        define(started, "trainer/crds")
        started.create("/api/v1/namespaces", {"metadata": {"name": "dev-training"}})
        yield started


def covers(kept: Any, sent: Any) -> bool:
    """Whether the server has kept everything that was sent; it may have added defaults."""
    if isinstance(sent, dict):
        return all(key in kept and covers(kept[key], value) for key, value in sent.items())
    if isinstance(sent, list):
        return len(kept) == len(sent) and all(map(covers, kept, sent))
    return bool(kept == sent)


def test_the_definitions_keep_all_of_runtime_and_train_job(plane: ControlPlane, tmp_path: Path) -> None:
    project = applied(tmp_path, plane)
    project.up(PROGRAM)
    runtime = plane.read(f"{TRAINER}/trainingruntimes/train-shapes")["spec"]
    assert runtime["mlPolicy"] == {"numNodes": 3, "torch": {"numProcPerNode": 2}}
    (replicated,) = runtime["template"]["spec"]["replicatedJobs"]
    template = plane.read("/apis/batch/v1/namespaces/dev-training/cronjobs/train-shapes")
    kept, declared = replicated["template"], template["spec"]["jobTemplate"]["spec"]
    assert kept["metadata"]["labels"][MODEL_LABEL] == "shapes"
    assert kept["spec"]["template"]["metadata"]["annotations"] == {REVISION: "0123456"}
    # What a Job's own API adds is left out: a runtime has what was sent.
    assert covers(declared, kept["spec"])
    assert kept["spec"].keys() >= {"completionMode", "parallelism", "podFailurePolicy", "activeDeadlineSeconds"}
    (container,) = kept["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    _, made = train._made(train._job(template, "shapes", ["shapes", "--epochs", "3"]))
    plane.create(f"{TRAINER}/trainjobs", made)
    assert covers(plane.read(f"{TRAINER}/trainjobs/{made['metadata']['name']}"), made)
    named = {**made["metadata"], "name": "other"}
    with pytest.raises(RefusedError, match=r"spec\.trainer\.args"):
        wrong = {**made["spec"], "trainer": {**made["spec"]["trainer"], "args": "shapes"}}
        plane.create(f"{TRAINER}/trainjobs", {**made, "metadata": named, "spec": wrong})
    plane.delete(f"{TRAINER}/trainjobs/{made['metadata']['name']}")
    project.destroy()
