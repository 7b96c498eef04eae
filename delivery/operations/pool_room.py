"""What a node pool has of what a pod asks for that waits for a node of it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.kit.pod_state import pool_of
from delivery.clients.kubectl import Kubectl
from delivery.errors import DeliveryError
from delivery.operations.device_claims import Offer, claimed
from delivery.operations.events import quantity, shown
from delivery.operations.requests import needs

Object = Mapping[str, Any]

_ENDED = ("Succeeded", "Failed")
_COUNTED = ("cpu", "memory")


def unscheduled(pod: Object, message: str) -> str:
    """Return that a pod has no node, with the pool that it names, and the scheduler's words."""
    pool = pool_of(pod)
    return f"not scheduled{f' on pool {pool}' if pool else ''}: {message}"


def pool_lines(kubectl: Kubectl, pod: Object) -> list[str]:
    """Return by resource what a waiting pod's pool has too little of; empty where nodes or pods may not be seen."""
    pool = pool_of(pod)
    if pool is None:
        return []
    chosen = ",".join(f"{key}={value}" for key, value in pod["spec"].get("nodeSelector", {}).items())
    try:
        nodes = _items(kubectl, "get", "nodes", "--selector", chosen)
        pods = _items(kubectl, "get", "pods", "--all-namespaces")
    except DeliveryError:
        return []
    if not nodes:
        return [f"pool {pool} has no node now: none has the label {chosen}"]
    sizes = {node["metadata"]["name"]: node.get("status", {}).get("allocatable", {}) for node in nodes}
    running = [each for each in pods if each["spec"].get("nodeName") in sizes and not _is_over(each)]
    asked = {name: amount for name, amount in needs(pod["spec"]).items() if amount and _is_counted(name)}
    offers = ((name, amount, _offer(name, sizes, running)) for name, amount in asked.items())
    lines = [_line(pool, *each) for each in (*offers, *claimed(kubectl, pod, [*sizes]))]
    return [line for line in lines if line]


def _offer(name: str, sizes: Mapping[str, Object], running: Iterable[Object]) -> Offer:
    """Return what nodes have of a resource, and what pods that run there ask for."""
    taken = dict.fromkeys(sizes, 0.0)
    for each in running:
        taken[each["spec"]["nodeName"]] += needs(each["spec"])[name]
    return Offer({node: quantity(str(size.get(name, 0))) for node, size in sizes.items()}, taken)


def _line(pool: str, name: str, amount: float, offer: Offer) -> str:
    """Return what is lacking of a resource; empty where a node has enough of it."""
    sizes, free = offer.sizes, offer.free
    largest, total, taken = max(sizes.values()), sum(sizes.values()), sum(offer.taken.values())
    if max(free.values()) >= amount:
        return ""
    start = f"pool {pool}: it asks for {_amount(amount, name)} {name}, and"
    if largest < amount:
        return f"{start} the largest of {len(sizes)} nodes has {_amount(largest, name)}: it fits on none of them"
    return (
        f"{start} {len(sizes)} nodes have {_amount(total, name)}, of which {_amount(taken, name)} are taken; at most "
        f"{_amount(max(free.values()), name)} of it is free on a node"
    )


def _is_counted(name: str) -> bool:
    return name in _COUNTED or "/" in name


def _amount(amount: float, name: str) -> str:
    return shown(amount, name) if name in _COUNTED else f"{amount:g}"


def _is_over(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in _ENDED


def _items(kubectl: Kubectl, *arguments: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl.run(*arguments, "-o", "json"))["items"]
    return items
