"""Why a pod has no node: the scheduler's words, and in numbers who has taken what it asks for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.kit.names import POOL_LABEL
from delivery.operations.events import quantity
from delivery.operations.placing import Placing, Pod
from delivery.operations.requests import needs, takes
from infra.services.node_pools import shown_resource

Object = Mapping[str, Any]

# How the scheduler names a resource of which no node has enough.
_INSUFFICIENT = re.compile(r"Insufficient ([\w./-]*\w)")
_TOO_MANY_PODS = "Too many pods"
_PODS = "pods"
# What it adds about pods that it could take away: nobody asks for that.
_PREEMPTION = re.compile(r"\s*preemption: .*", re.DOTALL)
_UNITS = (("Gi", 2**30), ("Mi", 2**20))


def why(placing: Placing, pod: Pod) -> str:
    """Return why a pod is not placed: by resource what the nodes that take it have, else as the scheduler says it."""
    short = list(dict.fromkeys(_INSUFFICIENT.findall(_first(pod.why))))
    short += [_PODS] if _TOO_MANY_PODS in _first(pod.why) else []
    nodes = [node for node in placing.nodes.values() if takes(node, pod.body["spec"])]
    if not short or not nodes:
        return _first(pod.why)
    return "; ".join(_lacking(placing, pod, nodes, resource) for resource in short)


def _first(said: str) -> str:
    return _PREEMPTION.sub("", said).strip()


def _lacking(placing: Placing, pod: Pod, nodes: Sequence[Object], resource: str) -> str:
    sizes = {node["metadata"]["name"]: quantity(str(node["status"]["allocatable"].get(resource, 0))) for node in nodes}
    own, others = dict.fromkeys(sizes, 0.0), dict.fromkeys(sizes, 0.0)
    for each in placing.pods:
        if each.node in sizes and each.made is not None:
            (own if each.owner == pod.owner else others)[each.node] += _asked(each.made["spec"], resource)
    free = max(sizes[name] - own[name] - others[name] for name in sizes)
    amounts = (sum(sizes.values()), sum(others.values()), _asked((pod.made or pod.body)["spec"], resource), free)
    size, taken, one, most = (_shown(amount, resource) for amount in amounts)
    held = sum(own.values())
    by_own = f" and {_shown(held, resource)} by its own pods" if held else ""
    return (
        f"{shown_resource(resource)}: {_place(nodes)} {size}, {taken} are taken{by_own}; a pod asks for {one}, at most "
        f"{most} of it is free on a node"
    )


def _asked(spec: Object, resource: str) -> float:
    return 1 if resource == _PODS else needs(spec)[resource]


def _place(nodes: Sequence[Object]) -> str:
    pools = {(node["metadata"].get("labels") or {}).get(POOL_LABEL) for node in nodes}
    pool = next(iter(pools))
    if len(pools) == 1 and pool:
        return f"pool {pool} has"
    return f"node {nodes[0]['metadata']['name']} has" if len(nodes) == 1 else f"{len(nodes)} nodes have"


def _shown(amount: float, resource: str) -> str:
    """Return an amount: of memory in binary units, of others without needless places."""
    if resource in ("memory", "ephemeral-storage"):
        return next((f"{amount / size:.4g}{unit}" for unit, size in _UNITS if abs(amount) >= size), f"{amount:.0f}")
    return f"{amount:.10g}" if amount == round(amount) else f"{amount:.3g}"
