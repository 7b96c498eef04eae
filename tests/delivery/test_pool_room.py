"""Pods on shares of GPUs: real ones of the components land where they ask, and what fits nowhere is said by pool."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.cluster.node_pool import NodePool
from components.kit.names import CAPACITY, GPU, POOL_LABEL
from components.serving.inference_service import InferenceService
from components.training.training_pipeline import TrainingPipeline
from delivery.clients.control_plane import ControlPlane
from delivery.clients.kubectl import Kubectl
from delivery.clock import Clock
from delivery.operations.pool_room import pool_lines
from delivery.operations.waiting import Waiting
from tests.components.declarations import inference_args, static, training_args
from tests.components.mocks import declared
from tests.support.simulated import asked, simulated_cluster
from tests.support.tools import eventually

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]

Object = dict[str, Any]
INSTANCE = "nvidia.com/mig-1g.10gb"
TRAINING, SERVING = "dev-training", "prod-serving"
NOTHING = Path("/dev/null")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with simulated_cluster(tmp_path_factory.mktemp("cluster")) as started:
        for namespace in (TRAINING, SERVING):
            started.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for name, devices in (("whole", {GPU: "4"}), ("parts", {INSTANCE: "14"})):
            for node in pool(name, devices):
                started.create("/api/v1/nodes", node)
        eventually(lambda: all(capacity(node) for node in started.read("/api/v1/nodes")["items"]), NOTHING)
        yield started


def capacity(node: Object) -> Any:
    return node["status"].get("allocatable")


def pool(name: str, devices: dict[str, str]) -> list[Object]:
    """The nodes of the component, as the engine would make them."""
    program = declared(lambda: NodePool(name, {"nodes": 1, "accelerator": "a", "gpus": 2, "devices": devices}))
    made = []
    for node in program.of_kind("Node").values():
        annotations = node["metadata"]["annotations"]
        annotations[CAPACITY] = json.dumps(annotations[CAPACITY]["[JSON]"])
        made.append(json.loads(json.dumps(node)))
    return made


def job(name: str, place: str, **devices: str) -> Object:
    """A Job of the component's template."""
    chosen: Any = {"node_pool": place, "devices": devices}
    program = declared(lambda: TrainingPipeline("it", {**training_args(static()), **chosen}))
    (template,) = program.of_kind("CronJob").values()
    spec = json.loads(json.dumps(template["spec"]["jobTemplate"]["spec"]))
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": TRAINING}, "spec": spec}


def served(name: str, place: str, devices: dict[str, str]) -> Object:
    """A pod as KServe makes it of the component's inference service."""
    chosen: Any = {"node_pool": place, "devices": devices}
    program = declared(lambda: InferenceService("it", {**inference_args(static()), **chosen}))
    (service,) = program.of_kind("InferenceService").values()
    predictor = json.loads(json.dumps(service["spec"]["predictor"]))
    model = predictor["model"]
    spec = {key: predictor[key] for key in ("nodeSelector", "tolerations")}
    container = {
        "name": "kserve-container",
        "image": model["image"],
        "resources": model["resources"],
        "env": model["env"],
    }
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SERVING},
        "spec": {**spec, "containers": [container]},
    }


def start(plane: ControlPlane, item: Object) -> None:
    folder = "/apis/batch/v1" if item["kind"] == "Job" else "/api/v1"
    plane.create(f"{folder}/namespaces/{item['metadata']['namespace']}/{item['kind'].lower()}s", item)


def pods_of(plane: ControlPlane, name: str) -> list[Object]:
    items: list[Object] = plane.read(f"/api/v1/namespaces/{TRAINING}/pods")["items"]
    return [each for each in items if each["metadata"]["labels"].get("batch.kubernetes.io/job-name") == name]


def test_a_job_and_an_inference_service_land_on_the_pool_and_share_that_they_ask_for(plane: ControlPlane) -> None:
    start(plane, job("train", "parts", **{INSTANCE: "1"}))
    start(plane, served("model", "whole", {GPU: "1"}))
    eventually(lambda: any(each["spec"].get("nodeName") for each in pods_of(plane, "train")), NOTHING)
    (trainer,) = pods_of(plane, "train")
    assert trainer["spec"]["nodeName"] == "parts-0"
    eventually(lambda: bool(plane.read(f"/api/v1/namespaces/{SERVING}/pods/model")["spec"].get("nodeName")), NOTHING)
    model = plane.read(f"/api/v1/namespaces/{SERVING}/pods/model")
    assert model["spec"]["nodeName"] == "whole-0"
    assert {"name": "STELLWERK_DEVICE", "value": "cuda"} in model["spec"]["containers"][0]["env"]


def reported(plane: ControlPlane, kubectl: Kubectl, name: str) -> list[str]:
    """What `stellwerk train` says of a Job that waits, as soon as it says something."""
    waiting, lines = Waiting(name, TRAINING, kubectl, Clock()), list[str]()

    def look() -> bool:
        lines[:] = waiting.look(plane.read(f"/apis/batch/v1/namespaces/{TRAINING}/jobs/{name}"))
        return bool(lines)

    eventually(look, NOTHING)
    return lines


@pytest.mark.parametrize(
    ("place", "resource", "amount", "said"),
    [
        (
            "whole",
            GPU,
            "8",
            f"pool whole: it asks for 8 {GPU}, and the largest of 1 nodes has 4: it fits on none of them",
        ),
        (
            "parts",
            GPU,
            "1",
            f"pool parts: it asks for 1 {GPU}, and the largest of 1 nodes has 0: it fits on none of them",
        ),
        ("none", GPU, "1", f"pool none has no node now: none has the label {POOL_LABEL}=none"),
    ],
    ids=["too large", "another share", "no node"],
)
def test_what_fits_nowhere_is_said_by_pool_and_resource(
    place: str, resource: str, amount: str, said: str, plane: ControlPlane
) -> None:
    name = f"waits-{place}"
    start(plane, job(name, place, **{resource: amount}))
    lines = reported(plane, asked(plane), name)
    assert lines[0].startswith(f"not scheduled on pool {place}: "), lines
    assert lines[1] == f"  {said}"
    plane.delete(f"/apis/batch/v1/namespaces/{TRAINING}/jobs/{name}?propagationPolicy=Background")


def test_a_pool_that_is_full_says_how_much_of_it_is_taken(plane: ControlPlane) -> None:
    held = served("held", "whole", {GPU: "3"})
    start(plane, held)
    eventually(lambda: bool(plane.read(f"/api/v1/namespaces/{SERVING}/pods/held")["spec"].get("nodeName")), NOTHING)
    lines = pool_lines(asked(plane), served("more", "whole", {GPU: "4"}))
    (line,) = lines
    assert line.startswith(f"pool whole: it asks for 4 {GPU}, and 1 nodes have 4, of which ")
    plane.delete(f"/api/v1/namespaces/{SERVING}/pods/held?gracePeriodSeconds=0")
