"""A drain of nodes, which evicts pod after pod as their budgets allow, loses no request."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.load import load_on
from tests.support.project import MODEL, Project, eventually

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.lane("prod"), pytest.mark.timeout(1200)]
SERVING = ("prod-serving", f"serving.kserve.io/inferenceservice={MODEL}")
GATEWAY = ("prod-platform", "app=gateway")
# The gateways go on for eight seconds after they are asked to end, and kube-proxies learn of it meanwhile.
ROUNDS = 2


def names(project: Project, place: tuple[str, str]) -> list[str]:
    """The pods that are ready and not on their way out."""
    pods = project.objects("pods", "-n", place[0], "-l", place[1])
    return [each["metadata"]["name"] for each in pods if _is_ready(each)]


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def evict(project: Project, namespace: str, pod: str) -> bool:
    """Ask for an eviction as `kubectl drain` does; return whether the budget admits it."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    done = project.run("kubectl", "create", "--raw", path, "-f", "-", stdin=json.dumps(body))
    assert done.returncode == 0 or "disruption budget" in done.stdout + done.stderr, done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("place", [SERVING, GATEWAY], ids=["model", "gateway"])
def test_no_request_is_lost_while_all_pods_are_evicted(
    project: Project, restored: Callable[[str], None], place: tuple[str, str]
) -> None:
    """With one node it is the eviction of each of its pods: one goes, another comes, then the next one goes."""
    restored("prod")
    project.edit("prod", lambda config: config["stellwerk:models"][MODEL].update(replicas=2))
    project.up("prod")
    with load_on(project, "prod", clients=4) as load:
        for _ in range(ROUNDS):
            old = names(project, place)
            assert len(old) == 2
            for pod in old:
                eventually(f"{pod} may go", 180, lambda pod=pod: evict(project, place[0], pod), interval=0.5)
            eventually("others serve", 180, lambda old=old: len(set(names(project, place)) - set(old)) == 2)
        # Of those that went last, too, every request has its answer.
        answered = load.answered
        eventually("the clients go on", 60, lambda: load.answered > answered + 50)
    assert load.failures == []
    assert load.answered > 100


def test_both_pods_of_a_model_are_not_evicted_at_once(project: Project, restored: Callable[[str], None]) -> None:
    restored("prod")
    project.edit("prod", lambda config: config["stellwerk:models"][MODEL].update(replicas=2))
    project.up("prod")
    with load_on(project, "prod") as load:
        first, second = names(project, SERVING)
        assert evict(project, SERVING[0], first)
        assert not evict(project, SERVING[0], second), "the budget admits both"
        eventually("both serve again", 180, lambda: len(names(project, SERVING)) == 2)
    assert load.failures == []
