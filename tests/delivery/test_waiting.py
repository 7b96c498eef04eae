"""What a training Job waits for is said, and waiting that makes no sense ends."""

from typing import Any

import pytest

from delivery.errors import DeliveryError
from delivery.operations import train
from delivery.operations.events import events, quantity, refuse_beyond_quota, room
from delivery.operations.waiting import Waiting
from tests.support.session import FakeClock, FakeCluster, Words
from tests.support.training_cluster import Cluster, cluster, condition, opened, start

__all__ = ["cluster", "opened"]


QUOTA = {
    "metadata": {"name": "quota"},
    "spec": {"hard": {"requests.cpu": "8", "requests.memory": "12Gi", "pods": "40"}},
}


def refused(message: str, uid: str = "this") -> dict[str, Any]:
    return {"type": "Warning", "reason": "FailedCreate", "message": message, "involvedObject": {"uid": uid},
            "lastTimestamp": "2026-01-31T12:00:00Z"}  # fmt: skip


def exceeded(requested: str, used: str, limited: str) -> dict[str, Any]:
    """In the API server's own words."""
    return refused(
        f'Error creating: pods "train-digits-1-x7k2p" is forbidden: exceeded quota: quota, requested: {requested}, '
        f"used: {used}, limited: {limited}"
    )


def pod(name: str, cpu: str, phase: str = "Running", node: str = "node", namespace: str = "dev-serving") -> Any:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": phase},
    }


def needs(cluster: Cluster, **requests: str) -> None:
    assert cluster.template
    spec = cluster.template["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"][0]["resources"] = {"requests": requests}


def follow(cluster: Cluster, words: Words, clock: FakeClock, until: float = 5) -> str:
    """Waits until the Job, which is there, is let end; what was said."""
    name = start(cluster, words)

    def later(_: float) -> None:
        if clock.now > until:
            cluster.jobs[name] = condition("Complete")

    clock.asleep = later
    train.wait(cluster.session(), "dev", name, words.console)
    return words.stream.getvalue()


def test_what_the_scheduler_says_is_shown_with_what_takes_the_room(
    cluster: Cluster, words: Words, clock: FakeClock
) -> None:
    reason = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    cluster.pods = [pod("train", "1") | {"status": {"conditions": [reason]}}]
    real = {"metadata": {"name": "node"}, "status": {"allocatable": {"cpu": "2"}}}
    simulated = {"metadata": {"name": "gpu", "annotations": {"kwok.x-k8s.io/node": "fake"}}, "status": {}}
    cluster.nodes = [real, simulated]
    cluster.others = [
        pod("small", "50m"),
        pod("big", "1500m"),
        pod("done", "1", "Succeeded"),
        pod("sim", "4", node="gpu"),
    ]
    text = follow(cluster, words, clock)
    assert text.count("not scheduled: 0/1 nodes are available: 1 Insufficient cpu.") == 1
    assert "2 pods request 1.55 of 2.00 cpu; the biggest:" in text
    assert text.index("dev-serving/big: 1.50") < text.index("dev-serving/small: 0.05")
    assert "sim" not in text.split("started")[1]


def test_a_job_that_fits_on_no_node_is_told(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    reason = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    cluster.pods = [pod("train", "3") | {"status": {"conditions": [reason]}}]
    cluster.nodes = [{"metadata": {"name": "node"}, "status": {"allocatable": {"cpu": "2"}}}]
    text = follow(cluster, words, clock)
    assert "it requests 3.00 cpu, and the largest node has 2.00: it fits on none of them" in text


def test_a_job_that_waits_for_the_quota_says_so_at_once(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    needs(cluster, cpu="500m")
    cluster.quotas = [QUOTA]
    cluster.others = [pod("train-digits-2-a", "7500m", namespace="dev-training")]
    name = start(cluster, words)
    cluster.events["Job", name] = [exceeded("requests.cpu=500m", "requests.cpu=7800m", "requests.cpu=8")]
    text = follow(cluster, words, clock)
    assert (
        "waits for room in the quota: FailedCreate: Error creating: its pod is forbidden: exceeded quota: quota" in text
    )
    assert "requests.cpu=7800m, limited: requests.cpu=8" in text
    assert "dev-training/train-digits-2-a: 7.50" in text


@pytest.mark.parametrize("requests", [{"cpu": "9"}, {"memory": "13Gi"}])
def test_what_the_quota_never_allows_is_refused_before_it_starts(
    requests: dict[str, str], cluster: Cluster, words: Words
) -> None:
    needs(cluster, **requests)
    cluster.quotas = [QUOTA]
    with pytest.raises(
        DeliveryError, match=r"^dev-training: its quota 'quota' allows requests\.\w+=.*it can never run; raise"
    ):
        start(cluster, words)
    assert cluster.created == []


def test_a_quota_that_was_lowered_since_ends_the_waiting(cluster: Cluster, words: Words) -> None:
    needs(cluster, cpu="500m")
    name = start(cluster, words)
    cluster.quotas = [{"metadata": {"name": "quota"}, "spec": {"hard": {"requests.cpu": "400m"}}}]
    cluster.events["Job", name] = [exceeded("requests.cpu=500m", "requests.cpu=0", "requests.cpu=400m")]
    with pytest.raises(DeliveryError, match=rf"allows requests\.cpu=400m.* can never run; .*delete job {name}"):
        train.wait(cluster.session(), "dev", name, words.console)


def test_no_pod_allowed_at_all_ends_the_waiting(cluster: Cluster, words: Words) -> None:
    cluster.quotas = [{"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}]
    with pytest.raises(DeliveryError, match="its quota 'none' allows pods=0"):
        start(cluster, words)


@pytest.mark.parametrize(
    "message",
    [
        'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged',
        'Error creating: pods "x" is forbidden: failed quota: quota: must specify limits.cpu',
        'Error creating: pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
        'Error creating: admission webhook "policy.test" denied the request: no',
    ],
)
def test_a_refusal_that_stays_ends_the_waiting(message: str, cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    cluster.events["Job", name] = [refused(message)]
    with pytest.raises(DeliveryError, match=f"^job {name}: its pods are refused: FailedCreate: Error creating: "):
        train.wait(cluster.session(), "dev", name, words.console)


def test_other_refusals_and_those_of_a_job_before_are_no_end(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    name = start(cluster, words)
    cluster.events["Job", name] = [
        refused('Error creating: pods "x" is forbidden: error looking up service account'),
        refused('Error creating: pods "x" is forbidden: violates PodSecurity', uid="before"),
    ]
    assert "its pod is forbidden: error looking up service account" in follow(cluster, words, clock)


def test_a_suspended_job_says_how_it_goes_on(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    name = start(cluster, words)
    cluster.jobs[name]["spec"]["suspend"] = True
    assert f"suspended: somebody stopped it; `kubectl -n dev-training patch job {name}" in follow(cluster, words, clock)


def container(**state: Any) -> Any:
    limits = {"resources": {"limits": {"memory": "2Gi"}}}
    return {
        "metadata": {"name": "pod"},
        "spec": {"containers": [limits]},
        "status": {"containerStatuses": [{"state": state}]},
    }


def test_an_image_that_cannot_be_pulled_ends_the_waiting(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    cluster.pods = [container(waiting={"reason": "ImagePullBackOff", "message": "not found"})]
    with pytest.raises(DeliveryError, match=r"cannot start: ImagePullBackOff not found"):
        follow(cluster, words, clock, until=1000)
    assert 60 <= clock.now < 70


def test_a_volume_that_cannot_be_mounted_is_told(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    cluster.pods = [container(waiting={"reason": "ContainerCreating"})]
    mount = refused('MountVolume.SetUp failed for volume "ca": secret "gone" not found') | {"reason": "FailedMount"}
    cluster.events["Pod", "pod"] = [mount]
    assert 'FailedMount: MountVolume.SetUp failed for volume "ca"' in follow(cluster, words, clock)


def test_a_job_that_ran_out_of_memory_or_time_says_so(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    name = start(cluster, words)
    cluster.log = '{"message": "epoch 1"}\n'
    cluster.pods = [container(terminated={"reason": "OOMKilled", "exitCode": 137})]
    cluster.jobs[name] = condition("Failed", message="Job has reached the specified backoff limit")
    with pytest.raises(DeliveryError, match="failed: OOMKilled: it needs more memory than its limit of 2Gi; raise"):
        train.wait(cluster.session(), "dev", name, words.console)
    late = Waiting(name, "dev-training", cluster, clock)
    late.look({"spec": {"suspend": True}})
    cluster.pods = []
    assert late.reason({"message": "Job was active longer than specified deadline"}, []).startswith(
        "Job was active longer than specified deadline; it waited: suspended"
    )


def test_what_may_not_be_seen_stops_nothing() -> None:
    forbidden = FakeCluster()
    forbidden.refused = DeliveryError("cluster of dev: nodes is forbidden")
    assert room(forbidden, "cpu") == []
    assert events(forbidden, "dev-training", "Job", "any") == []
    refuse_beyond_quota(forbidden, "dev-training", {"containers": [{"resources": {"requests": {"cpu": "9"}}}]}, "no")


@pytest.mark.parametrize(
    ("text", "number"), [("500m", 0.5), ("2", 2), ("2Gi", 2 << 30), ("1.5", 1.5), ("100M", 1e8), ("1e3", 1000)]
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == number
