"""The wait for a revision, against kubectl's answers as a cluster gives them."""

import asyncio
import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from components.kit.names import POOL_LABEL
from components.serving.looks import Looks, NotServingError, UnansweredError
from components.serving.rollout import Revision, observe, until_declared, until_served

REVISION = Revision(namespace="x-serving", model="digits", digest="new", replicas=2, seconds=300)
LABELS = {"serving.kserve.io/inferenceservice": "digits"}


def deployment(**status: Any) -> dict[str, Any]:
    """A Deployment whose rollout of the revision is complete, but for `status`."""
    complete = {"observedGeneration": 7, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return {
        "kind": "Deployment",
        "metadata": {"name": "digits-predictor", "labels": LABELS, "generation": 7},
        "spec": {"replicas": 2, "template": {"metadata": {"annotations": {"stellwerk.dev/revision": "new"}}}},
        "status": complete | status,
    }


def pod(*containers: dict[str, Any], digest: str = "new", **status: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": "digits-predictor-1",
            "labels": LABELS,
            "annotations": {"stellwerk.dev/revision": digest},
        },
        "spec": {"containers": [{"name": "kserve-container", "resources": {"limits": {"memory": "64Mi"}}}]},
        "status": {"containerStatuses": list(containers)} | status,
    }


def container(state: dict[str, Any], last: dict[str, Any] | None = None, ready: bool = False) -> dict[str, Any]:
    return {"name": "kserve-container", "ready": ready, "state": state, "lastState": last or {}, "restartCount": 3}


STARTING = container({"waiting": {"reason": "ContainerCreating"}})
RUNNING = container({"running": {}})
PULL = container({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image x@sha256:00"}})
KILLED = container(
    {"waiting": {"reason": "CrashLoopBackOff"}}, {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
)
CRASHED = container({"running": {}}, {"terminated": {"reason": "Error", "exitCode": 1}})
QUOTA = {
    "type": "ReplicaFailure",
    "status": "True",
    "message": "pods x is forbidden: exceeded quota: quota, used: pods=1",
}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}


EVENTS = [
    {"kind": "Event", "reason": reason, "message": message, "involvedObject": {"kind": "Pod", "name": name}}
    for name, reason, message in (
        ("digits-predictor-1", "FailedMount", "no such secret"),
        ("digits-predictor-1", "FailedMount", "no such secret"),
        ("digits-predictor-1", "Unhealthy", "Startup probe failed: connection refused"),
        ("other-predictor-1", "FailedMount", "no such volume"),
    )
]


class Cluster:
    """Answers kubectl: `looks` one after the other, the last one for ever; an error is no answer."""

    def __init__(self, *looks: Sequence[Any] | Exception) -> None:
        self.looks = list(looks)
        self.asked: list[tuple[str, ...]] = []
        self.reported: list[str] = []
        # What an autoscaler's status says.
        self.decided = ""
        # The number of pods that the Deployment asked for before the update.
        self.before = ""

    def scales(self) -> list[tuple[str, ...]]:
        return [words for words in self.asked if words[0] == "scale"]

    def __call__(self, *words: str) -> str:
        self.asked.append(words)
        if words[:2] == ("get", "deployments,pods"):
            answer = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
            if isinstance(answer, Exception):
                raise answer
            return json.dumps({"items": answer})
        if words[:2] == ("get", "events"):
            return json.dumps({"items": EVENTS})
        if words[:2] == ("get", "hpa"):
            return self.decided
        if words[:2] == ("get", "deployment"):
            return self.before
        if words[0] in ("scale", "delete"):
            return ""
        assert words[0] == "logs"
        return "reading the artefact\nit does not exist\n"

    def wait(self, revision: Revision = REVISION, patience: float = 0) -> None:
        asyncio.run(until_served(revision, Looks(self, rest=0), self.reported.append, patience))

    def wait_for_deployment(self, seconds: float = 60, patience: float = 60) -> None:
        revision = replace(REVISION, seconds=seconds)
        asyncio.run(until_declared(revision, Looks(self, rest=0), self.reported.append, patience))


def without_annotation() -> dict[str, Any]:
    changed = copy.deepcopy(deployment())
    del changed["spec"]["template"]["metadata"]["annotations"]
    return changed


def of_another_revision() -> dict[str, Any]:
    changed = copy.deepcopy(deployment())
    changed["spec"]["template"]["metadata"]["annotations"]["stellwerk.dev/revision"] = "old"
    return changed


def scaled() -> dict[str, Any]:
    changed = copy.deepcopy(deployment())
    changed["spec"]["replicas"] = 1
    return changed


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(of_another_revision, id="KServe has not seen it yet"),
        pytest.param(without_annotation, id="older than revisions"),
        pytest.param(lambda: deployment(observedGeneration=6), id="the status is of the generation before"),
        pytest.param(lambda: deployment(updatedReplicas=1), id="half is updated"),
        pytest.param(lambda: deployment(updatedReplicas=0), id="nothing is updated, everything available"),
        pytest.param(lambda: deployment(replicas=3), id="an old pod is left"),
        pytest.param(lambda: deployment(availableReplicas=1), id="half is available"),
        pytest.param(scaled, id="another number of pods"),
    ],
)
def test_only_a_whole_rollout_of_this_revision_serves(before: Callable[[], dict[str, Any]]) -> None:
    cluster = Cluster([before()], [before()], [deployment()])
    cluster.wait()
    assert [words[:2] for words in cluster.asked].count(("get", "deployments,pods")) == 3


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([pod(PULL)], "ImagePullBackOff: Back-off pulling image x@sha256:00"),
        ([pod(KILLED)], "OOMKilled: it needs more memory than its limit of 64Mi"),
        ([pod(CRASHED)], "Error with exit code 1"),
        ([pod(initContainerStatuses=[CRASHED])], "Error with exit code 1"),
        ([deployment(updatedReplicas=0, conditions=[QUOTA])], "exceeded quota"),
        ([pod(status="", reason="Evicted", message="node was low on memory")], "evicted: node was low on memory"),
    ],
)
def test_a_reason_that_stands_ends_the_wait_and_is_reported_before(items: list[Any], reason: str) -> None:
    cluster = Cluster([deployment(availableReplicas=1), *items] if items[0]["kind"] == "Pod" else items)
    with pytest.raises(NotServingError, match="digits does not serve its new revision in x-serving") as raised:
        cluster.wait()
    assert reason in str(raised.value)
    assert "models.digits.release" in str(raised.value)
    assert len(cluster.reported) == 1, "each reason once"
    assert reason in cluster.reported[0]


def test_the_last_lines_of_a_container_that_ended_and_the_events_of_its_pod_are_shown() -> None:
    with pytest.raises(NotServingError) as raised:
        Cluster([pod(CRASHED)]).wait()
    assert "log of kserve-container: it does not exist" in str(raised.value)
    assert str(raised.value).count("event: FailedMount: no such secret") == 1
    assert "no such volume" not in str(raised.value)


def test_what_only_events_report_is_reported() -> None:
    cluster = Cluster([deployment(availableReplicas=0), pod(STARTING, phase="Pending")], [deployment()])
    cluster.wait()
    assert cluster.reported == ["digits does not serve yet: digits-predictor-1: FailedMount: no such secret"]


def test_what_passes_by_itself_does_not_end_the_wait() -> None:
    starting = deployment(availableReplicas=0)
    waiting = [starting, pod(STARTING, conditions=[NO_NODE])]
    cluster = Cluster(waiting, waiting, [starting, pod(STARTING)], [starting, pod(RUNNING)], [deployment()])
    cluster.wait()
    assert [reason.partition(": ")[2] for reason in cluster.reported] == [
        "digits-predictor-1 has no node: Insufficient cpu"
    ]


@pytest.mark.parametrize(
    ("spec", "annotations", "said"),
    [
        ({"nodeSelector": {POOL_LABEL: "gpus"}}, {}, "has no node of pool gpus: Insufficient"),
        ({"nodeSelector": {"group": "a"}}, {POOL_LABEL: "gpus"}, "has no node of pool gpus: Insufficient"),
        (
            {
                "resourceClaims": [
                    {"name": "devices", "resourceClaimTemplateName": "digits-predictor-2-gpu.example.com"}
                ]
            },
            {POOL_LABEL: "gpus"},
            "has no node of pool gpus with claims of digits-predictor-2-gpu.example.com: Insufficient",
        ),
    ],
    ids=["label", "annotation", "claim"],
)
def test_a_pod_without_a_node_is_reported_with_its_pool(
    spec: dict[str, Any], annotations: dict[str, str], said: str
) -> None:
    waits = pod(conditions=[NO_NODE])
    waits["spec"].update(spec)
    waits["metadata"]["annotations"].update(annotations)
    (reason,) = observe([waits], REVISION).waiting
    assert reason.startswith(f"digits-predictor-1 {said}")


def test_a_reason_that_goes_away_is_no_failure() -> None:
    broken = [deployment(availableReplicas=0), pod(PULL)]
    Cluster(broken, broken, broken, [deployment()]).wait(patience=60)


def test_pods_of_the_revision_before_are_no_reason() -> None:
    assert observe([pod(KILLED, digest="old")], REVISION).problems == []


def test_the_wait_ends_after_its_time() -> None:
    late = Revision(namespace="x-serving", model="digits", digest="new", replicas=2, seconds=-1)
    with pytest.raises(NotServingError, match="has no node: Insufficient cpu"):
        Cluster([deployment(availableReplicas=0), pod(STARTING, conditions=[NO_NODE])]).wait(late)
    with pytest.raises(NotServingError, match="its pods are not ready"):
        Cluster([deployment(availableReplicas=0)]).wait(late)


def test_the_wait_ends_at_its_deadline_whatever_else_gets_ready() -> None:
    late = replace(REVISION, deadline=time.time() - 1)
    with pytest.raises(NotServingError, match="its pods are not ready"):
        Cluster([deployment(availableReplicas=0)]).wait(late)
    with pytest.raises(NotServingError, match="KServe made no Deployment"):
        asyncio.run(until_declared(late, Looks(Cluster([])), print))


def test_a_deployment_that_never_comes_is_reported() -> None:
    with pytest.raises(NotServingError, match="KServe made no Deployment of this revision in x-serving"):
        Cluster([]).wait_for_deployment(seconds=-1)


def test_a_deployment_that_takes_long_is_reported_once_and_waited_for() -> None:
    cluster = Cluster([], [], NO_ANSWER, [deployment()])
    cluster.wait_for_deployment(patience=-1)
    assert cluster.reported == ["digits: KServe has made no Deployment of this revision after 0 s"]


def test_the_number_of_pods_is_set_after_kserve_has_changed_the_deployment() -> None:
    """KServe's change sets it to one, and takes away whatever else is not its own."""
    cluster = Cluster([], [without_annotation()], [of_another_revision()], [deployment()])
    cluster.wait_for_deployment()
    assert len(cluster.asked) == 4
    with pytest.raises(NotServingError, match="of this revision"):
        Cluster([of_another_revision()]).wait_for_deployment(seconds=-1)


NO_ANSWER = UnansweredError("kubectl get: the server is currently unable to handle the request")


def test_a_look_without_an_answer_is_reported_and_the_next_one_may_have_it() -> None:
    cluster = Cluster(NO_ANSWER, NO_ANSWER, [deployment()])
    cluster.wait(patience=60)
    assert cluster.reported == [f"digits does not serve yet: {NO_ANSWER}"]
    Cluster(NO_ANSWER, [deployment()]).wait_for_deployment()


def test_a_cluster_that_never_answers_ends_the_wait_with_its_words() -> None:
    with pytest.raises(NotServingError, match="unable to handle the request"):
        Cluster(NO_ANSWER).wait()
    with pytest.raises(NotServingError, match="unable to handle the request"):
        Cluster(NO_ANSWER).wait_for_deployment(seconds=-1)


def test_without_kubectl_nothing_is_waited_for() -> None:
    cluster = Cluster(NotServingError("kubectl is not on PATH"))
    with pytest.raises(NotServingError, match="not on PATH"):
        cluster.wait(patience=60)
    with pytest.raises(NotServingError, match="not on PATH"):
        cluster.wait_for_deployment()
    assert cluster.reported == []
