"""What keeps a pod from running, from objects as the API server shows them."""

from typing import Any

import pytest

from components.kit.pod_state import Fault, FaultKind, faults, refusals


def pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    spec = {"name": "server", "image": "r/serving@sha256:0", "resources": {"limits": {"memory": "64Mi"}}}
    return {
        "metadata": {"name": "digits-1"},
        "spec": {"containers": [spec]},
        "status": {"containerStatuses": [{"name": "server", **each} for each in containers]} | status,
    }


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": "why"}}}


def ended(reason: str, code: int, **more: Any) -> dict[str, Any]:
    return {"state": {"terminated": {"reason": reason, "exitCode": code}}, **more}


@pytest.mark.parametrize(
    ("reason", "kind", "final"),
    [
        ("ImagePullBackOff", FaultKind.IMAGE, False),
        ("InvalidImageName", FaultKind.IMAGE, True),
        ("CreateContainerConfigError", FaultKind.CONFIG, False),
        ("SomethingNew", FaultKind.CONFIG, False),
    ],
)
def test_what_a_container_waits_for(reason: str, kind: FaultKind, final: bool) -> None:
    assert list(faults(pod(waiting(reason)))) == [
        Fault(kind, reason, "why", "server", "r/serving@sha256:0", final=final)
    ]


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "CrashLoopBackOff"])
def test_a_container_that_starts_has_no_fault(reason: str) -> None:
    assert list(faults(pod(waiting(reason)))) == []
    assert list(faults(pod(ended("Completed", 0)))) == []
    assert list(faults({"metadata": {"name": "new"}})) == []


def test_a_crash_counts_its_ends_and_knows_whether_the_container_serves_again() -> None:
    (down,) = faults(pod(ended("Error", 3, restartCount=2)))
    assert (down.kind, down.exit_code, down.ends, down.down, down.ready) == (FaultKind.CRASH, 3, 3, True, False)
    last = {"terminated": {"reason": "Error", "exitCode": 3}}
    (again,) = faults(pod({"state": {"running": {}}, "lastState": last, "ready": True, "restartCount": 1}))
    assert (again.ends, again.down, again.ready) == (1, False, True)


def test_a_container_without_enough_memory_names_its_limit() -> None:
    (fault,) = faults(pod(ended("OOMKilled", 137)))
    assert fault.out_of_memory == "OOMKilled: it needs more memory than its limit of 64Mi"
    (other,) = faults(pod(ended("Error", 1)))
    assert other.out_of_memory == ""


def test_faults_of_the_pod_as_a_whole() -> None:
    conditions = [
        {"type": "Initialized", "status": "False", "message": "not yet"},
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"},
    ]
    judged = list(faults(pod(conditions=conditions, reason="Evicted", message="low on memory")))
    assert [(fault.kind, fault.message, fault.container) for fault in judged] == [
        (FaultKind.UNSCHEDULABLE, "Insufficient cpu", ""),
        (FaultKind.EVICTED, "low on memory", ""),
    ]


def test_pods_that_are_not_made_are_refused_by_their_controller() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert list(refusals({"status": {"conditions": [condition]}})) == ["exceeded quota"]
    assert list(refusals({"status": {"conditions": [condition | {"status": "False"}]}})) == []
    assert list(refusals({})) == []
