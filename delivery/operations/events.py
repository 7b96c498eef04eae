"""Why the cluster does not do something yet: events of an object, quotas, and what takes the room."""

import json
import re
from dataclasses import dataclass
from typing import Any

from delivery.clients.kubectl import Kubectl
from delivery.errors import DeliveryError

_SUFFIXES = {
    "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
# What the cluster autoscaler and Karpenter say of a pod for which they make a node.
SCALING = ("TriggeredScaleUp", "Nominated")
# How Karpenter begins to say why it makes none.
_NO_NODE = "Failed to schedule pod, "
_QUANTITY = re.compile(r"([0-9.]+(?:e[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti|)")


@dataclass(frozen=True)
class Event:
    """What the cluster said of an object."""

    reason: str
    message: str
    warning: bool
    uid: str


def events(kubectl: Kubectl, namespace: str, kind: str, name: str) -> list[Event]:
    """Return the events of an object, the newest last; empty when none are left, or when they may not be seen."""
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    try:
        items = _items(kubectl, "--namespace", namespace, "get", "events", "--field-selector", selector)
    except DeliveryError:
        return []
    ordered = sorted(items, key=lambda item: str(item.get("lastTimestamp") or item.get("eventTime") or ""))
    return [
        Event(
            item.get("reason", ""),
            item.get("message", "").strip(),
            item.get("type") == "Warning",
            item["involvedObject"].get("uid", ""),
        )
        for item in ordered
    ]


def scaling(kubectl: Kubectl, namespace: str, pod: str) -> str:
    """Return what the autoscaler of nodes says of a pod that has none: that one comes, or why not; empty: nothing."""
    for event in reversed(events(kubectl, namespace, "Pod", pod)):
        if event.reason in SCALING:
            return f"a node comes: {event.message}"
        if event.message.startswith(_NO_NODE):
            return f"no node is made for it: {event.message.removeprefix(_NO_NODE)}"
    return ""


def quantity(text: str) -> float:
    """Return a Kubernetes quantity, such as 500m or 2Gi, as a number."""
    match = _QUANTITY.fullmatch(text)
    return float(match[1]) * _SUFFIXES[match[2]] if match else 0.0


def refuse_beyond_quota(kubectl: Kubectl, namespace: str, pod: dict[str, Any], action: str) -> None:
    """Raise DeliveryError when a pod requests more than a quota of the namespace allows for all its pods together."""
    sums: dict[str, float] = {"pods": 1}
    for container in pod["containers"]:
        for side, values in container.get("resources", {}).items():
            for resource, value in values.items() if side in ("requests", "limits") else ():
                for key in (f"{side}.{resource}", *([resource] if side == "requests" else [])):
                    sums[key] = sums.get(key, 0) + quantity(value)
    try:
        quotas = _items(kubectl, "--namespace", namespace, "get", "resourcequotas")
    except DeliveryError:
        # Who may not see them learns of it from the cluster, when the pod is refused.
        return
    for quota in quotas:
        hard = quota["spec"].get("hard", {})
        over = [key for key, value in sums.items() if key in hard and value > quantity(hard[key])]
        if over:
            name, allowed = quota["metadata"]["name"], ", ".join(f"{key}={hard[key]}" for key in over)
            raise DeliveryError(
                f"{namespace}: its quota {name!r} allows {allowed}, and one pod requests more: it can never run; "
                f"{action}"
            )


def largest_node(kubectl: Kubectl, resource: str) -> float:
    """Return what the largest node that runs anything has of a resource; 0 when that may not be seen."""
    try:
        nodes = _items(kubectl, "get", "nodes")
    except DeliveryError:
        return 0
    sizes = (node["status"].get("allocatable", {}).get(resource, "0") for node in nodes if not _simulated(node))
    return max(map(quantity, sizes), default=0)


def room(kubectl: Kubectl, resource: str, namespace: str | None = None, most: int = 6) -> list[str]:
    """Return which pods take a resource, the biggest first: of a namespace, or on all nodes that run anything.

    Empty when that may not be seen.
    """
    place = ["--namespace", namespace] if namespace else ["--all-namespaces"]
    try:
        nodes = [] if namespace else [node for node in _items(kubectl, "get", "nodes") if not _simulated(node)]
        pods = _items(kubectl, "get", "pods", *place)
    except DeliveryError:
        return []
    names = {node["metadata"]["name"] for node in nodes}
    taken = sorted(
        (
            (requested(pod, resource), f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
            for pod in pods
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            and (namespace or pod["spec"].get("nodeName") in names)
        ),
        reverse=True,
    )
    if not taken:
        return []
    size = sum(quantity(node["status"].get("allocatable", {}).get(resource, "0")) for node in nodes)
    total = shown(sum(amount for amount, _ in taken), resource)
    of = f" of {shown(size, resource)}" if size else ""
    lines = [f"{len(taken)} pods request {total}{of} {resource}; the biggest:"]
    return lines + [f"{name}: {shown(amount, resource)}" for amount, name in taken[:most]]


def _items(kubectl: Kubectl, *arguments: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl.run(*arguments, "-o", "json"))["items"]
    return items


def _simulated(node: dict[str, Any]) -> bool:
    """Return whether a node has no hardware: room for everything, and nothing runs there."""
    return "kwok.x-k8s.io/node" in node["metadata"].get("annotations", {})


def requested(pod: dict[str, Any], resource: str) -> float:
    """Return what the scheduler counts: all containers together, or the biggest of those that run before them."""

    def of(container: dict[str, Any]) -> float:
        return quantity(container.get("resources", {}).get("requests", {}).get(resource, "0"))

    before = [of(container) for container in pod["spec"].get("initContainers", [])]
    return max([sum(of(container) for container in pod["spec"]["containers"]), *before])


def shown(amount: float, resource: str) -> str:
    """Return an amount of a resource, as messages name it."""
    return f"{amount / 2**20:.0f}Mi" if resource == "memory" else f"{amount:.2f}"
