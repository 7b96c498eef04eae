"""A training by Kubeflow Trainer: its real definitions take the runtime, and the TrainJob that the command makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.kit.names import MODEL_LABEL, REVISION
from components.training.training_pipeline import TrainingPipeline, TrainingPipelineArgs
from delivery.clients.control_plane import ControlPlane, RefusedError
from delivery.operations import train
from tests.components.mocks import declared
from tests.support.applied_components import applied
from tests.support.definitions import define
from tests.support.simulated import simulated_cluster

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(1200)]
TRAINER = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/dev-training"
ARGUMENTS: TrainingPipelineArgs = {
    "namespace": "dev-training", "model": "shapes", "image": "registry.invalid/shapes@sha256:0", "revision": "0123456",
    "tracking": {"uri": "http://tracking"}, "cpu": "1", "memory": "1Gi", "node_pool": "gpu", "workers": 3,
    "store": {"bucket": "models", "keys": {"access_key": "a", "secret_key": "b"}}, "trainer": True,
    "devices": {"nvidia.com/gpu": "2"},
}  # fmt: skip
PROGRAM = f"""
from components.training.training_pipeline import TrainingPipeline
TrainingPipeline("train-shapes", {ARGUMENTS!r})
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with simulated_cluster(tmp_path_factory.mktemp("plane")) as started:
        define(started, "trainer/crds")
        started.create("/api/v1/namespaces", {"metadata": {"name": "dev-training"}})
        yield started


def lost(kept: Any, sent: Any, path: str = "") -> Iterator[str]:
    """Yield where the server has not kept what was sent; it may have added defaults."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        for key, value in sent.items():
            yield from lost(kept.get(key), value, f"{path}.{key}")
    elif isinstance(sent, list) and isinstance(kept, list) and len(kept) == len(sent):
        for number, (one, other) in enumerate(zip(kept, sent, strict=True)):
            yield from lost(one, other, f"{path}.{number}")
    elif kept != sent:
        yield f"{path}: {kept!r}, not {sent!r}"


def test_the_definitions_keep_all_of_runtime_and_train_job(plane: ControlPlane, tmp_path: Path) -> None:
    project = applied(tmp_path, plane)
    project.up(PROGRAM)
    runtime = plane.read(f"{TRAINER}/trainingruntimes/train-shapes")["spec"]
    assert runtime["mlPolicy"] == {"numNodes": 3, "torch": {"numProcPerNode": 2}}
    (replicated,) = runtime["template"]["spec"]["replicatedJobs"]
    (sent,) = (
        values["spec"]
        for name, values in declared(lambda: TrainingPipeline("train-shapes", ARGUMENTS)).inputs.items()
        if name.partition("::")[0].endswith(":TrainingRuntime")
    )
    assert list(lost(runtime, sent)) == []
    kept = replicated["template"]
    assert kept["metadata"]["labels"][MODEL_LABEL] == "shapes"
    assert kept["spec"]["template"]["metadata"]["annotations"] == {REVISION: "0123456"}
    assert kept["spec"].keys() >= {"completionMode", "parallelism", "podFailurePolicy", "activeDeadlineSeconds"}
    (container,) = kept["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    template = plane.read("/apis/batch/v1/namespaces/dev-training/cronjobs/train-shapes")
    _, made = train._made(train._job(template, "shapes", ["shapes", "--epochs", "3"]))
    plane.create(f"{TRAINER}/trainjobs", made)
    assert list(lost(plane.read(f"{TRAINER}/trainjobs/{made['metadata']['name']}"), made)) == []
    named = {**made["metadata"], "name": "other"}
    with pytest.raises(RefusedError, match=r"spec\.trainer\.args"):
        wrong = {**made["spec"], "trainer": {**made["spec"]["trainer"], "args": "shapes"}}
        plane.create(f"{TRAINER}/trainjobs", {**made, "metadata": named, "spec": wrong})
    plane.delete(f"{TRAINER}/trainjobs/{made['metadata']['name']}")
    project.destroy()
