"""An elastic pool of the local cluster: its autoscaler is there as soon as a pool asks for it, and as long."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from components.kit.names import GPU, POOL_LABEL
from delivery.clients.kubectl import Kubectl
from delivery.clock import Clock
from delivery.operations.waiting import Waiting
from infra.local.cluster import karpenter
from infra.targets.variables import LOCAL_CONTEXT
from tests.support.elastic import NAMESPACE, PRICE, Object, gpu_pod, job, lasting
from tests.support.project import ENVIRONMENTS, Project, eventually

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.lane("alone"), pytest.mark.timeout(1800)]

OWNER = ENVIRONMENTS[0]
POOL, MOST = "gpu-elastic", 2
CHEAP, DEAR = (
    {"name": name, "cpu": "16", "memory": "64Gi", "pricePerHour": price}
    for name, price in (("one-cheap", 2.5), ("one-dear", 4.0))
)
VALUES = {
    "name": POOL, "kind": "elastic", "accelerator": "nvidia-l4", "gpus": 1, "nodes": MOST,
    "elastic": {"provider": "kwok", "instanceTypes": [DEAR, CHEAP], "consolidateAfter": "5s"},
}  # fmt: skip


@pytest.fixture(scope="module")
def priced(started: Project) -> Iterator[float]:
    """What the pool costs more, said before it was applied: the owner's values have it, and the cluster Karpenter."""
    before = started.stack_file(OWNER).read_text()
    assert karpenter.NAME not in processes(started)
    add_pool(started)
    try:
        started.stellwerk("cluster", "up")
        yield started.ask("plan", OWNER)["cost"]["more"]
    finally:
        started.write(OWNER, before)
        started.up(OWNER)
        started.stellwerk("cluster", "up")


def add_pool(project: Project) -> None:
    project.edit(OWNER, lambda config: config["stellwerk:nodePools"].append(VALUES))


@pytest.fixture
def elastic(started: Project, priced: float) -> Iterator[Project]:
    """The pool is applied, and at zero."""
    started.up(OWNER)
    yield started
    started.kubectl("delete", "jobs,pods", "--all", "--namespace", NAMESPACE, "--now", ok=False)
    eventually("the pool is at zero", 300, lambda: nodes(started) == {})


def processes(project: Project) -> dict[str, Any]:
    """The parts of the node, all of which run."""
    parts: dict[str, Any] = project.ask("cluster", "status")["processes"]
    return parts


def create(project: Project, *objects: Object) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    done = project.run("kubectl", "create", "--namespace", NAMESPACE, "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr


def nodes(project: Project) -> dict[str, Object]:
    """The nodes of the pool by name."""
    return {node["metadata"]["name"]: node for node in project.objects("nodes", "--selector", f"{POOL_LABEL}={POOL}")}


def placed(project: Project, name: str) -> str:
    """The node of a pod; empty: it waits."""
    return project.kubectl("get", "pod", name, "--namespace", NAMESPACE, "--output", "jsonpath={.spec.nodeName}")


def read(project: Project, name: str) -> Object:
    asked: Object = json.loads(project.kubectl("get", "job", name, "--namespace", NAMESPACE, "--output", "json"))
    return asked


def complete(project: Project, name: str) -> bool:
    conditions = read(project, name)["status"].get("conditions", [])
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


def test_the_pool_is_priced_and_applied_and_its_autoscaler_has_its_own_rights(elastic: Project, priced: float) -> None:
    assert processes(elastic)[karpenter.NAME]["state"] == "RUNNING"
    assert priced == MOST * DEAR["pricePerHour"]
    elastic.assert_no_changes(OWNER)
    assert nodes(elastic) == {}
    for allowed, *request in (("yes", "delete", "nodes"), ("no", "get", "secrets"), ("no", "create", "pods")):
        asked = ("auth", "can-i", *request, "--all-namespaces", "--as", karpenter.USER)
        assert elastic.kubectl(*asked, ok=False).strip() == allowed, request
    assert "karpenter" in elastic.stellwerk("cluster", "logs", karpenter.NAME, "--lines", "5").stdout


def test_the_cheapest_node_comes_for_a_job_and_goes_when_it_is_idle(elastic: Project) -> None:
    # A Job of nodes without hardware is over at once: a pod beside it keeps the node to be looked at.
    create(elastic, job("train", gpu_pod(POOL)), lasting("look", gpu_pod(POOL)))
    eventually("the Job is over", 120, lambda: complete(elastic, "train") and placed(elastic, "look"))
    node = nodes(elastic)[placed(elastic, "look")]
    labels = node["metadata"]["labels"]
    assert labels["node.kubernetes.io/instance-type"] == CHEAP["name"]
    assert float(labels[PRICE]) == CHEAP["pricePerHour"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-L4"
    assert node["status"]["allocatable"][GPU] == "1"
    assert elastic.ask("cluster", "status")["nodes"][node["metadata"]["name"]]
    elastic.kubectl("delete", "pod", "look", "--namespace", NAMESPACE)
    eventually("the pool is at zero", 120, lambda: nodes(elastic) == {})


def test_the_limit_holds_and_a_killed_autoscaler_comes_back(elastic: Project) -> None:
    before = processes(elastic)[karpenter.NAME]["pid"]
    os.kill(before, signal.SIGKILL)
    create(elastic, lasting("first", gpu_pod(POOL)), lasting("second", gpu_pod(POOL)))
    eventually("both are placed", 120, lambda: placed(elastic, "first") and placed(elastic, "second"))
    assert processes(elastic)[karpenter.NAME]["pid"] != before
    held = nodes(elastic).keys()
    assert len(held) == MOST
    create(elastic, job("third", gpu_pod(POOL)))
    kubectl = Kubectl(OWNER, LOCAL_CONTEXT, {**elastic.shell, **elastic.variables})
    waiting = Waiting("third", NAMESPACE, kubectl, Clock())

    def said() -> bool:
        return any("limits" in line and POOL in line for line in waiting.look(read(elastic, "third")))

    eventually("the limit is named", 30, said)
    assert nodes(elastic).keys() == held
    elastic.kubectl("delete", "pod", "first", "--namespace", NAMESPACE)
    eventually("the third has its turn", 120, lambda: complete(elastic, "third"))
    assert placed(elastic, "second") in nodes(elastic)


def test_a_pool_that_leaves_the_values_takes_nodes_and_autoscaler_with_it(elastic: Project) -> None:
    """In the wrong order, too: the autoscaler is gone before the engine deletes the pool."""
    create(elastic, lasting("stays", gpu_pod(POOL)))
    eventually("it is placed", 120, lambda: placed(elastic, "stays"))
    elastic.edit(OWNER, lambda config: config["stellwerk:nodePools"].pop())
    elastic.stellwerk("cluster", "up")
    assert karpenter.NAME not in processes(elastic)
    assert nodes(elastic) == {}
    elastic.up(OWNER)
    assert elastic.objects("nodepools.karpenter.sh") == []
    assert elastic.objects("nodeclaims.karpenter.sh") == []
    add_pool(elastic)
    elastic.stellwerk("cluster", "up")
