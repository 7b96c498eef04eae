"""A training of two pods on shares of GPUs: what values declare, placed by the real scheduler on simulated nodes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from components.kit.names import CAPACITY, GPU
from delivery.clients.control_plane import ControlPlane
from tests.delivery.test_pool_room import INSTANCE, NOTHING, TRAINING, pods_of, reported
from tests.program.conftest import Run
from tests.program.harness import Recording, stack_values
from tests.support.simulated import asked, simulated_cluster
from tests.support.tools import eventually

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]

Object = dict[str, Any]
JOBS, WORKERS = f"/apis/batch/v1/namespaces/{TRAINING}/jobs", 2


@dataclass(frozen=True)
class Share:
    """A pool whose nodes have just two shares together, what a training of its pods asks for, and where these are."""

    pool: Object
    gpu: int | str
    resource: str
    nodes: set[str]

    @property
    def name(self) -> str:
        name: str = self.pool["name"]
        return name

    def program(self, run: Run, workers: int = WORKERS) -> Recording:
        """The program of values with this pool, and a training of so many pods there."""
        values = stack_values("dev")
        values["nodePools"] = [{"kind": "simulated", "accelerator": "nvidia-h100", "gpus": 1, **self.pool}]
        values["training"] = {"digits": {"nodePool": self.name, "gpu": self.gpu, "workers": workers}}
        return run(values, "dev")


INSTANCES = {"name": "instances", "nodes": 2, "sharing": {"mig": {"1g.10gb": 1}}}
TURNS = {"name": "turns", "nodes": 1, "sharing": {"timeSlicing": {"replicas": 2}}}
SHARES = {
    "MIG": Share(INSTANCES, "mig-1g.10gb", INSTANCE, {"instances-0", "instances-1"}),
    "time slicing": Share(TURNS, 1, GPU, {"turns-0"}),
}
of_each = pytest.mark.parametrize("share", SHARES.values(), ids=SHARES)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Iterator[ControlPlane]:
    with simulated_cluster(tmp_path_factory.mktemp("cluster")) as started:
        started.create("/api/v1/namespaces", {"metadata": {"name": TRAINING}})
        classes: dict[str, Object] = {}
        for share in SHARES.values():
            program = share.program(run)
            classes |= program.of_kind("PriorityClass")
            for node in program.of_kind("Node").values():
                started.create("/api/v1/nodes", without_kubelet(node))
        for item in classes.values():
            started.create("/apis/scheduling.k8s.io/v1/priorityclasses", item)
        yield started


def without_kubelet(node: Object) -> Object:
    """A node of the program whose pods neither run nor end: they keep their shares."""
    annotations = dict(node["metadata"]["annotations"])
    room = annotations.pop(CAPACITY)["[JSON]"]
    del annotations["kwok.x-k8s.io/node"]
    status = {"capacity": room, "allocatable": room}
    return {**node, "metadata": {**node["metadata"], "annotations": annotations}, "status": status}


def start(plane: ControlPlane, program: Recording, name: str) -> None:
    """Make a Job of the program's template, as `stellwerk train` does."""
    template = program.of_kind("CronJob")["train-digits"]["spec"]["jobTemplate"]
    metadata = {"name": name, "namespace": TRAINING}
    plane.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})


def end(plane: ControlPlane, name: str) -> None:
    plane.delete(f"{JOBS}/{name}?propagationPolicy=Background")
    for pod in pods_of(plane, name):
        plane.delete(f"/api/v1/namespaces/{TRAINING}/pods/{pod['metadata']['name']}?gracePeriodSeconds=0")
    eventually(lambda: not pods_of(plane, name), NOTHING)


def nodes_of(plane: ControlPlane, name: str) -> list[str]:
    return [each["spec"]["nodeName"] for each in pods_of(plane, name) if each["spec"].get("nodeName")]


def assert_named(plane: ControlPlane, share: Share, name: str) -> None:
    """It is said that a Job waits for a share of the pool, and who has them."""
    lines = reported(plane, asked(plane), name)
    assert lines[0].startswith(f"not scheduled on pool {share.name}: "), lines
    room = f"{len(share.nodes)} nodes have 2, of which 2 are taken; at most 0 of it is free on a node"
    assert lines[1] == f"  pool {share.name}: it asks for 1 {share.resource}, and {room}"


@of_each
def test_both_pods_land_on_the_pool_and_the_share_and_who_comes_later_waits(
    plane: ControlPlane, run: Run, share: Share
) -> None:
    program = share.program(run)
    start(plane, program, "first")
    eventually(lambda: len(nodes_of(plane, "first")) == WORKERS, NOTHING)
    assert set(nodes_of(plane, "first")) == share.nodes
    for pod in pods_of(plane, "first"):
        (container,) = pod["spec"]["containers"]
        devices = {key: amount for key, amount in container["resources"]["limits"].items() if "/" in key}
        assert devices == {share.resource: "1"}
        assert {"--nnodes=2", "--nproc-per-node=1"} < set(container["command"])
        assert {"name": "STELLWERK_DEVICE", "value": "cuda"} in container["env"]
    start(plane, program, "second")
    assert_named(plane, share, "second")
    end(plane, "first")
    eventually(lambda: len(nodes_of(plane, "second")) == WORKERS, NOTHING)
    assert set(nodes_of(plane, "second")) == share.nodes
    end(plane, "second")


@of_each
def test_one_pod_more_than_there_are_shares_is_said_to_wait_while_the_others_have_theirs(
    plane: ControlPlane, run: Run, share: Share
) -> None:
    start(plane, share.program(run, workers=WORKERS + 1), "larger")
    eventually(lambda: len(nodes_of(plane, "larger")) == WORKERS, NOTHING)
    assert_named(plane, share, "larger")
    end(plane, "larger")
