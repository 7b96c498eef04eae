"""Why a model does not come up, from objects as the cluster gives them."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from components.kit.names import GPU, POOL_LABEL
from delivery.errors import DeliveryError
from delivery.operations import events, pods
from tests.support.pods import IMAGE, container, pod, replica_set, waiting
from tests.support.session import FakeClock, FakeCluster, Words

LIMIT = 180
Objects = list[dict[str, Any]]


OOM = {"reason": "OOMKilled", "exitCode": 137}
ERROR = {"reason": "Error", "exitCode": 3}
PULL = (
    f'Back-off pulling image "{IMAGE}": ErrImagePull: rpc error: code = NotFound desc = '
    f'failed to pull and unpack image "{IMAGE}": failed to resolve image: {IMAGE}: not found'
)
ROOM = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint."
QUOTA = 'pods "digits-predictor-2-x" is forbidden: exceeded quota: quota, used: pods=40, limited: pods=40'


@pytest.fixture
def watch(clock: FakeClock, cluster: FakeCluster, words: Words) -> Callable[..., pods.Watch]:
    """Watches release v2 of a cluster whose objects a function gives, by the seconds that have passed."""

    def make(objects: Callable[[float], Objects]) -> pods.Watch:
        cluster.listed = lambda asked: objects(clock.now) if "replicasets,pods" in asked else []
        cluster.lines = '{"message": "cannot load model"}\nplain\n'
        return pods.Watch(cluster, clock, "digits", "v2", LIMIT, words.console)

    return make


def ends(watch: pods.Watch, clock: FakeClock) -> float:
    """When the watch ends the wait."""
    while not watch.stop():
        clock.sleep(1)
    return clock.now


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            [pod(2, container(waiting=waiting("ImagePullBackOff", PULL)))],
            f"image {IMAGE}: cannot be pulled: {IMAGE}: not found$",
        ),
        ([pod(2, container(waiting=waiting("InvalidImageName", "bad")))], "cannot be pulled: bad"),
        ([pod(2, container(2, waiting=waiting("CrashLoopBackOff"), last=ERROR))], "ended with exit code 3\n  | cannot"),
        ([pod(2, container(1, waiting=waiting("CrashLoopBackOff"), last=OOM))], "OOMKilled: .* limit of 512Mi"),
        (
            [pod(2, initContainerStatuses=[{**container(2, terminated=ERROR), "name": "storage-initializer"}])],
            "storage-initializer: ended with exit code 3",
        ),
        ([pod(2, conditions=[{"type": "PodScheduled", "status": "False", "message": ROOM}])], "not scheduled: .*cpu"),
        ([pod(2, container(waiting=waiting("CreateContainerConfigError", "no secret")))], "no secret"),
    ],
    ids=["image", "image name", "crash", "memory", "artefact", "no room", "secret"],
)
def test_a_definite_failure_is_reported_within_a_minute(
    made: Objects, said: str, watch: Callable[..., pods.Watch], clock: FakeClock
) -> None:
    watching = watch(lambda _: [replica_set("v2", 2), *made])
    assert ends(watching, clock) < 60
    assert watching.reason is not None
    assert re.search(said, watching.reason, re.DOTALL), watching.reason


def test_a_quota_is_told_though_there_is_no_pod(watch: Callable[..., pods.Watch], clock: FakeClock) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": QUOTA}
    watching = watch(lambda _: [replica_set("v2", 2, conditions=[condition])])
    assert ends(watching, clock) < 60
    assert watching.reason == f"digits-predictor-2: its pods are refused: {QUOTA}"


@pytest.mark.parametrize(
    "objects",
    [
        lambda now: [pod(2, container(waiting=waiting("ErrImagePull", PULL))) if now < 15 else pod(2)],
        lambda now: [pod(2, container(1, running={}, last=ERROR))],
        lambda now: [pod(2, container(0, terminated=ERROR) if now < 3 else container(1, running={}, last=ERROR))],
        lambda now: [pod(2, conditions=[{"type": "PodScheduled", "status": "False", "message": ROOM}][: now < 30])],
        lambda now: [pod(2, container(waiting=waiting("ContainerCreating")))],
        lambda now: [replica_set("v1", 1), pod(1, container(9, waiting=waiting("CrashLoopBackOff"), last=ERROR))],
        lambda now: [{**pod(2, container(9, terminated=ERROR)), "metadata": {"name": "x", "deletionTimestamp": "now"}}],
    ],
    ids=["second pull works", "one crash", "crash and start", "room comes", "starting", "release before", "deleted"],
)
def test_what_gets_well_by_itself_is_no_false_alarm(
    objects: Callable[[float], Objects], watch: Callable[..., pods.Watch], clock: FakeClock
) -> None:
    watching = watch(lambda now: [replica_set("v2", 2), *objects(now)])
    assert ends(watching, clock) >= LIMIT


@pytest.mark.parametrize("reason", ["TriggeredScaleUp", "Nominated"])
def test_an_autoscaler_that_makes_a_node_is_waited_for(
    reason: str, watch: Callable[..., pods.Watch], clock: FakeClock, cluster: FakeCluster
) -> None:
    watching = watch(lambda _: [])
    condition = {"type": "PodScheduled", "status": "False", "message": ROOM}
    made = [replica_set("v2", 2), pod(2, conditions=[condition])]
    cluster.listed = lambda asked: [{"reason": reason}] if "events" in asked else made
    assert ends(watching, clock) >= LIMIT
    assert watching.reason is not None
    assert ROOM in watching.reason


def test_what_the_pool_lacks_is_said_with_the_first_look(clock: FakeClock, words: Words) -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": ROOM}
    waits = pod(2, conditions=[condition])
    waits["spec"]["nodeSelector"] = {POOL_LABEL: "gpus"}
    waits["spec"]["containers"] = [{"name": "kserve-container", "resources": {"requests": {GPU: "8"}}}]

    class Cluster(FakeCluster):
        def get(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
            return waits

    cluster = Cluster()
    node = {"metadata": {"name": "gpus-0"}, "status": {"allocatable": {GPU: "4"}}}
    cluster.listed = lambda asked: [node] if "nodes" in asked else [replica_set("v2", 2), waits]
    watching = pods.Watch(cluster, clock, "digits", "v2", LIMIT, words.console)
    assert not watching.stop()
    line = f"pool gpus: it asks for 8 {GPU}, and the largest of 1 nodes has 4: it fits on none of them"
    assert f"pod-2: not scheduled on pool gpus: {ROOM}" in words and line in words
    ends(watching, clock)
    assert words.stream.getvalue().count(line) == 1


def test_only_the_newest_pods_of_the_release_count(watch: Callable[..., pods.Watch], clock: FakeClock) -> None:
    """The same release again, with other resources, say: the failed pods of before are on their way out."""
    failed = pod(2, container(9, waiting=waiting("CrashLoopBackOff"), last=ERROR))
    watching = watch(lambda _: [replica_set("v2", 2), replica_set("v2", 10), failed, pod(10)])
    assert ends(watching, clock) >= LIMIT
    assert watching.reason == "does not answer with it"


def test_at_the_end_of_the_time_the_last_state_is_told(watch: Callable[..., pods.Watch], clock: FakeClock) -> None:
    watching = watch(lambda _: [replica_set("v2", 2), pod(2, container(1, running={}, last=ERROR))])
    assert ends(watching, clock) >= LIMIT
    assert (
        watching.reason == "pod-2, container kserve-container: ended with exit code 3\n  | cannot load model\n  | plain"
    )


def test_a_cluster_that_does_not_answer_for_a_while_is_no_reason(
    watch: Callable[..., pods.Watch], clock: FakeClock
) -> None:
    def objects(now: float) -> Objects:
        raise DeliveryError("connection refused")

    watching = watch(objects)
    assert ends(watching, clock) >= LIMIT
    assert watching.reason == "does not answer with it"


def test_what_takes_the_room_is_named_by_request(cluster: FakeCluster) -> None:
    def requesting(name: str, cpu: str, node: str, phase: str = "Running", before: str = "0") -> dict[str, Any]:
        container = {"resources": {"requests": {"cpu": cpu}}}
        return {
            "metadata": {"namespace": "x", "name": name}, "status": {"phase": phase},
            "spec": {"nodeName": node, "containers": [container, {}],
                     "initContainers": [{"resources": {"requests": {"cpu": before}}}]},
        }  # fmt: skip

    nodes = [
        {"metadata": {"name": "real", "annotations": {}}, "status": {"allocatable": {"cpu": "2"}}},
        {"metadata": {"name": "sim", "annotations": {"kwok.x-k8s.io/node": "fake"}}, "status": {}},
    ]
    taking = [
        requesting("small", "100m", "real"), requesting("big", "1", "real"), requesting("gpu", "9", "sim"),
        requesting("done", "4", "real", "Succeeded"), requesting("init", "0.2", "real", before="500m"),
    ]  # fmt: skip
    cluster.listed = lambda asked: nodes if "nodes" in asked else taking
    assert events.room(cluster, "cpu") == [
        "3 pods request 1.60 of 2.00 cpu; the biggest:", "x/big: 1.00", "x/init: 0.50", "x/small: 0.10",
    ]  # fmt: skip


def test_the_reasons_of_many_models_are_listed_at_once(cluster: FakeCluster) -> None:
    failing = pod(2, container(waiting=waiting("InvalidImageName", "bad")))
    other = json.loads(json.dumps([replica_set("v1", 1), pod(1, container())]).replace("digits", "letters"))
    cluster.listed = lambda _: [replica_set("v2", 2), failing, *other]
    said = pods.reasons(cluster, {"digits": "v2", "letters": "v1", "words": "v7"})
    assert {name: "cannot be pulled: bad" in text for name, text in said.items()} == {"digits": True}
    assert len(cluster.asked) == 1
