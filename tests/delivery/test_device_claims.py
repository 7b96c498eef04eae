"""Devices that pods claim (DRA): real scheduler and claims, a driver's slices; what fits nowhere is said by class."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.kit.device_claims import DeviceClaimArgs
from components.training.training_pipeline import TrainingPipeline
from delivery.clients.control_plane import ControlPlane
from tests.components.declarations import static, training_args
from tests.components.mocks import declared
from tests.delivery.test_pool_room import NOTHING, TRAINING, pods_of, reported
from tests.support.devices import CLASS, claimed_devices, publish_class, publish_devices
from tests.support.simulated import asked, simulated_cluster
from tests.support.tools import eventually

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]

Object = dict[str, Any]
# What a cloud has put on the nodes; nothing names the pool.
LABELS = {"cloud.example.com/group": "gpus"}
TEMPLATES = f"/apis/resource.k8s.io/v1/namespaces/{TRAINING}/resourceclaimtemplates"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with simulated_cluster(tmp_path_factory.mktemp("cluster")) as started:
        started.create("/api/v1/namespaces", {"metadata": {"name": TRAINING}})
        publish_class(started)
        for name, labels in (("gpu-a", LABELS), ("gpu-b", LABELS), ("other", {})):
            # Nobody runs pods there: they keep their devices.
            room = {"cpu": "8", "memory": "32Gi", "pods": "50"}
            taints = [{"key": "team", "value": "vision", "effect": "NoSchedule"}] if labels else []
            node = {"kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}
            started.create("/api/v1/nodes", {**node, "status": {"capacity": room, "allocatable": room}})
            publish_devices(started, name, 2)
        yield started


def start(plane: ControlPlane, name: str, count: int, workers: int = 1) -> None:
    """Make a Job of the component's template, with what its pods claim their devices by."""
    claim: DeviceClaimArgs = {"device_class": CLASS, "count": count}
    chosen: Any = {"node_pool": "gpus", "node_labels": LABELS, "device_claim": claim, "tolerations": ["team"]}
    chosen |= {"model": name, "workers": workers}
    program = declared(lambda: TrainingPipeline("it", {**training_args(static()), **chosen}))
    (template,) = program.of_kind("ResourceClaimTemplate").values()
    plane.create(TEMPLATES, template)
    (cron,) = program.of_kind("CronJob").values()
    spec = json.loads(json.dumps(cron["spec"]["jobTemplate"]["spec"]))
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": TRAINING}, "spec": spec}
    plane.create(f"/apis/batch/v1/namespaces/{TRAINING}/jobs", body)


def end(plane: ControlPlane, name: str) -> None:
    plane.delete(f"/apis/batch/v1/namespaces/{TRAINING}/jobs/{name}?propagationPolicy=Background")
    for pod in pods_of(plane, name):
        # Without a kubelet nobody else ends them.
        plane.delete(f"/api/v1/namespaces/{TRAINING}/pods/{pod['metadata']['name']}?gracePeriodSeconds=0")
    eventually(lambda: not pods_of(plane, name), NOTHING)
    # Their claims go later: the next test would take them for its own.
    eventually(lambda: not any(pod.startswith(name) for pod in claimed_devices(plane, TRAINING)), NOTHING)


def test_pods_of_a_distributed_job_get_devices_of_the_pool_that_labels_select(plane: ControlPlane) -> None:
    start(plane, "two", count=2, workers=2)
    eventually(lambda: sum("nodeName" in each["spec"] for each in pods_of(plane, "two")) == 2, NOTHING)
    pods = {each["metadata"]["name"]: each["spec"] for each in pods_of(plane, "two")}
    assert {each["nodeName"] for each in pods.values()} == {"gpu-a", "gpu-b"}
    claimed = claimed_devices(plane, TRAINING)
    assert claimed.keys() == pods.keys()
    for name, devices in claimed.items():
        assert {node for node, _ in devices} == {pods[name]["nodeName"]}
        assert {device for _, device in devices} == {"gpu-0", "gpu-1"}
        (container,) = pods[name]["containers"]
        assert {"name": "STELLWERK_DEVICE", "value": "cuda"} in container["env"]
        assert "--nproc-per-node=2" in container["command"]
    end(plane, "two")


def test_what_fits_on_no_node_is_said_by_pool_and_class(plane: ControlPlane) -> None:
    start(plane, "large", count=3)
    lines = reported(plane, asked(plane), "large")
    assert lines[0].startswith("not scheduled on pool gpus: ") and "cannot allocate all claims" in lines[0], lines
    assert lines[1] == f"  pool gpus: it asks for 3 {CLASS}, and the largest of 2 nodes has 2: it fits on none of them"
    end(plane, "large")


def test_devices_that_others_have_are_said(plane: ControlPlane) -> None:
    start(plane, "first", count=2, workers=2)
    eventually(lambda: len(claimed_devices(plane, TRAINING)) == 2, NOTHING)
    start(plane, "second", count=1)
    lines = reported(plane, asked(plane), "second")
    taken = "2 nodes have 4, of which 4 are taken; at most 0 of it is free on a node"
    assert lines[1] == f"  pool gpus: it asks for 1 {CLASS}, and {taken}"
    end(plane, "first")
    eventually(lambda: all(each["spec"].get("nodeName") for each in pods_of(plane, "second")), NOTHING)
    end(plane, "second")
