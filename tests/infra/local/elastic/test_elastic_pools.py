"""An elastic pool: nodes come for what waits, the cheapest that will do, and go when they are idle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.kit.names import GPU, POOL_LABEL
from delivery.clock import Clock
from delivery.operations.events import scaling
from delivery.operations.waiting import Waiting
from infra.targets.needs import InstanceType
from tests.support.elastic import NAMESPACE, PRICE, Elastic, Object, elastic_cluster, gpu_pod, job, lasting, stack
from tests.support.tools import eventually

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(1800)]

_ONE = {"cpu": "16", "memory": "64Gi", GPU: "1"}
CHEAP = InstanceType("gpu-cheap", _ONE, {"on-demand": 2.5, "spot": 0.9})
DEAR = InstanceType("gpu-dear", _ONE, {"on-demand": 4.0})
BIG = InstanceType("gpu-big", {"cpu": "64", "memory": "512Gi", GPU: "8"}, {"on-demand": 20.0})
# Of another pool: by far the cheapest, and none of this one's.
OTHER = InstanceType("other", _ONE, {"on-demand": 0.1})
POOL = "gpu"


VALUES = {
    "provider": "kwok",
    "instance_types": [DEAR.name, CHEAP.name, BIG.name],
    "nodes": 3,
    "gpus": 8,
    "gpu_limit": 2,
    "consolidate_after": "3s",
}
# Seconds for all nodes to go: Karpenter ends one after the other, and looks at each for some time first.
IDLE = 300
PROGRAM = Path(__file__).parent / "program.py"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """A cluster without a pool."""
    with elastic_cluster(tmp_path_factory.mktemp("elastic"), [DEAR, OTHER, BIG, CHEAP]) as place:
        yield place


@pytest.fixture(scope="module")
def cluster(bare: Elastic, tmp_path_factory: pytest.TempPathFactory) -> Elastic:
    """The cluster with the pool, which a stack declares."""
    stack(bare, tmp_path_factory.mktemp("stack"), PROGRAM, POOL).up(VALUES)
    return bare


def complete(cluster: Elastic, name: str) -> bool:
    conditions = cluster.read("Job", name)["status"].get("conditions", [])
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


def of_pool(cluster: Elastic, pool: str) -> list[Object]:
    return [node for node in cluster.nodes() if node["metadata"]["labels"].get(POOL_LABEL) == pool]


def placed(cluster: Elastic, name: str) -> str:
    """The node of a pod; empty: it waits."""
    return str(cluster.read("Pod", name)["spec"].get("nodeName", ""))


def reasons(cluster: Elastic, name: str) -> list[str]:
    """What `stellwerk train` says of the Job at a first look."""
    return Waiting(name, NAMESPACE, cluster.kubectl, Clock()).look(cluster.read("Job", name))


def limited(cluster: Elastic, name: str) -> bool:
    """Whether Karpenter says of a pod that a limit holds it."""
    return any(word in scaling(cluster.kubectl, NAMESPACE, name) for word in ("exceed limits", "limits have been"))


def test_the_cheapest_node_comes_for_a_job_and_goes_when_it_is_idle(cluster: Elastic) -> None:
    assert of_pool(cluster, POOL) == []
    # It holds the node for as long as it is looked at: a Job of simulated nodes is over at once.
    cluster.create(lasting("look", gpu_pod(POOL)), job("train", gpu_pod(POOL)))
    eventually(lambda: complete(cluster, "train") and placed(cluster, "look") != "", cluster.log)
    node = next(each for each in of_pool(cluster, POOL) if each["metadata"]["name"] == placed(cluster, "look"))
    labels = node["metadata"]["labels"]
    assert labels[POOL_LABEL] == POOL
    assert labels["node.kubernetes.io/instance-type"] == CHEAP.name
    assert labels["karpenter.sh/capacity-type"] == "on-demand"
    assert float(labels[PRICE]) == CHEAP.prices["on-demand"]
    assert node["status"]["allocatable"][GPU] == "1"
    assert {"key": GPU, "value": "present", "effect": "NoSchedule"} in node["spec"]["taints"]
    cluster.delete("Pod", "look")
    eventually(lambda: of_pool(cluster, POOL) == [], cluster.log, IDLE)


def test_beyond_the_limit_a_job_waits_and_its_reason_is_told(cluster: Elastic) -> None:
    cluster.create(lasting("first", gpu_pod(POOL)), lasting("second", gpu_pod(POOL)))
    eventually(lambda: bool(placed(cluster, "first") and placed(cluster, "second")), cluster.log)
    before = {each["metadata"]["name"] for each in of_pool(cluster, POOL)}
    assert len(before) == 2, "the limit leaves no room for one node with eight GPUs"
    cluster.create(job("third", gpu_pod(POOL)))
    eventually(lambda: any("exceed limits" in line for line in reasons(cluster, "third")), cluster.log)
    first, scheduler, *lacking = reasons(cluster, "third")
    assert "no node is made for it" in first and POOL in first
    assert "not scheduled" in scheduler
    assert any(POOL in line and GPU in line for line in lacking)
    assert {each["metadata"]["name"] for each in of_pool(cluster, POOL)} == before
    assert not complete(cluster, "third")
    cluster.delete("Pod", "first")
    eventually(lambda: complete(cluster, "third"), cluster.log)
    cluster.delete("Pod", "second")
    eventually(lambda: of_pool(cluster, POOL) == [], cluster.log, IDLE)


def test_what_no_instance_type_has_is_told_by_resource(cluster: Elastic) -> None:
    cluster.create(job("nowhere", gpu_pod(POOL, 16)))
    eventually(lambda: any(GPU in line for line in reasons(cluster, "nowhere")), cluster.log)
    assert of_pool(cluster, POOL) == []
    cluster.delete("Job", "nowhere")


def test_a_stack_makes_changes_and_removes_its_pool_and_the_nodes_of_it(bare: Elastic, tmp_path: Path) -> None:
    own = stack(bare, tmp_path, PROGRAM, "own")
    values = {**VALUES, "instance_types": [OTHER.name], "nodes": 1, "gpus": 1, "gpu_limit": None}
    own.up(values)
    assert "unchanged" in own.run("preview", values, "--expect-no-changes")
    bare.create(lasting("one", gpu_pod("own")), lasting("two", gpu_pod("own")))
    # Together: each round of Karpenter's keeps the limit, and not only what comes after it.
    eventually(lambda: limited(bare, "one") or limited(bare, "two"), bare.log)
    eventually(lambda: bool(placed(bare, "one")) != bool(placed(bare, "two")), bare.log)
    assert len(of_pool(bare, "own")) == 1
    own.up({**values, "nodes": 2})
    eventually(lambda: bool(placed(bare, "one") and placed(bare, "two")), bare.log)
    assert [float(node["metadata"]["labels"][PRICE]) for node in of_pool(bare, "own")] == [0.1, 0.1]
    own.run("destroy", values, "--yes", "--skip-preview")
    eventually(lambda: of_pool(bare, "own") == [], bare.log, IDLE)
    bare.delete("Pod", "one")
    bare.delete("Pod", "two")
