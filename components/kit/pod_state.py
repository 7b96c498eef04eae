"""What keeps a pod from running, judged from the object as the API shows it: one judgement for all who wait for pods.

Free of Pulumi: importing this costs nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from components.kit.names import POOL_LABEL

# Containers that wait for one of these run by themselves, or say more in their last state.
_STARTING = ("ContainerCreating", "PodInitializing", "CrashLoopBackOff")
_IMAGE = ("ErrImagePull", "ImagePullBackOff")
# The kubelet never tries these again with another result.
_FINAL_IMAGE = ("InvalidImageName", "ErrImageNeverPull")


class FaultKind(StrEnum):
    """What is wrong; how long it may last before it counts is the matter of those who wait."""

    UNSCHEDULABLE = "unschedulable"
    """No node takes the pod, for now."""
    EVICTED = "evicted"
    """The node has ended the pod."""
    IMAGE = "image"
    """An image cannot be pulled."""
    CONFIG = "config"
    """A container cannot be made: a Secret is absent, say."""
    CRASH = "crash"
    """A container has ended with an error."""


@dataclass(frozen=True)
class Fault:
    """One thing that keeps a pod from running; `container` is empty where it is the pod as a whole.

    `reason` and `message` are the cluster's own. `final`: no further try ends differently. Of a container that has
    ended: its exit code, how often it has ended, whether it is down now, and whether it serves again (`ready`).
    """

    kind: FaultKind
    reason: str
    message: str = ""
    container: str = ""
    image: str = ""
    memory_limit: str = ""
    final: bool = False
    exit_code: int = 0
    ends: int = 0
    down: bool = True
    ready: bool = False

    @property
    def out_of_memory(self) -> str:
        """Return what to say of a container that took more memory than it may; empty where that is not the reason."""
        limit = f" of {self.memory_limit}" if self.memory_limit else ""
        return f"OOMKilled: it needs more memory than its limit{limit}" if self.reason == "OOMKilled" else ""


def pool_of(pod: Mapping[str, Any]) -> str | None:
    """Return the pool that a pod names, by its node selector or its annotation, None where any node will do."""
    named = {**(pod.get("metadata", {}).get("annotations") or {}), **(pod.get("spec", {}).get("nodeSelector") or {})}
    name: str | None = named.get(POOL_LABEL)
    return name


def node_wanted(pod: Mapping[str, Any]) -> str:
    """Return of which pool a pod's node is to be, for people; the scheduler names neither that nor what is claimed."""
    pool, claims = pool_of(pod), pod.get("spec", {}).get("resourceClaims") or []
    templates = ", ".join(name for claim in claims if (name := claim.get("resourceClaimTemplateName")))
    return (f" of pool {pool}" if pool else "") + (f" with claims of {templates}" if templates else "")


def leaving(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod is on its way out."""
    return "deletionTimestamp" in pod["metadata"]


def refusals(controller: Mapping[str, Any]) -> Iterator[str]:
    """Yield why pods of a Deployment or ReplicaSet are not made at all: a quota, or an admission rule."""
    for condition in controller.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield condition.get("message") or condition.get("reason", "")


def container_states(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the states of all containers, those that run before the others first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def faults(pod: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what keeps a pod from running; nothing of one that runs or starts."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Fault(FaultKind.UNSCHEDULABLE, condition.get("reason", ""), condition.get("message", ""))
    if status.get("reason") == "Evicted":
        yield Fault(FaultKind.EVICTED, "Evicted", status.get("message", ""))
    spec = pod.get("spec", {})
    containers = {item["name"]: item for key in ("initContainers", "containers") for item in spec.get(key, [])}
    for state in container_states(pod):
        yield from _container_faults(state, containers.get(state["name"], {}))


def _container_faults(status: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Fault]:
    name, image = status["name"], spec.get("image", "")
    waiting = status.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE or reason in _FINAL_IMAGE:
        yield Fault(FaultKind.IMAGE, reason, message, name, image, final=reason in _FINAL_IMAGE)
    elif waiting and reason not in _STARTING:
        yield Fault(FaultKind.CONFIG, reason, message, name, image)
    ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated") or {}
    if ended.get("exitCode") or ended.get("reason") == "OOMKilled":
        down = "running" not in status.get("state", {})
        yield Fault(
            FaultKind.CRASH,
            ended.get("reason", ""),
            ended.get("message", ""),
            name,
            image,
            spec.get("resources", {}).get("limits", {}).get("memory", ""),
            exit_code=ended.get("exitCode", 0),
            ends=status.get("restartCount", 0) + down,
            down=down,
            ready=bool(status.get("ready")),
        )
