"""Why a pod has no node: the scheduler's words, and in numbers who has taken what it asks for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.kit.names import POOL_LABEL
from delivery.operations.events import quantity
from delivery.operations.placing import Placing, Pod
from delivery.operations.requests import needs, tolerates

Object = Mapping[str, Any]

# How the scheduler names a resource of which no node has enough.
_INSUFFICIENT = re.compile(r"Insufficient ([\w./-]+)")
_TOO_MANY_PODS = "Too many pods"
_PODS = "pods"
# What it adds about pods that it could take away: nobody asks for that.
_PREEMPTION = re.compile(r"\s*preemption: .*", re.DOTALL)
_UNITS = (("Gi", 2**30), ("Mi", 2**20))


def why(placing: Placing, pod: Pod) -> str:
    """Return why a pod is not placed: by resource what the nodes that take it have, else as the scheduler says it."""
    short = list(dict.fromkeys(_INSUFFICIENT.findall(_first(pod.why))))
    short += [_PODS] if _TOO_MANY_PODS in _first(pod.why) else []
    nodes = [node for node in placing.nodes.values() if _takes(node, pod.body["spec"])]
    if not short or not nodes:
        return _first(pod.why)
    return "; ".join(_lacking(placing, pod, nodes, resource) for resource in short)


def _first(said: str) -> str:
    return _PREEMPTION.sub("", said).strip()


def _takes(node: Object, spec: Object) -> bool:
    labels, state = node["metadata"].get("labels") or {}, node.get("spec") or {}
    chosen = all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())
    return chosen and not state.get("unschedulable") and tolerates(spec, state.get("taints") or [])


def _lacking(placing: Placing, pod: Pod, nodes: Sequence[Object], resource: str) -> str:
    names = {node["metadata"]["name"] for node in nodes}
    taken = dict.fromkeys(names, 0.0)
    for each in placing.pods:
        if each.node in names and each.made is not None:
            taken[each.node] += _asked(each.made["spec"], resource)
    sizes = {node["metadata"]["name"]: quantity(str(node["status"]["allocatable"].get(resource, 0))) for node in nodes}
    free = max(sizes[name] - taken[name] for name in names)
    asked = _asked((pod.made or pod.body)["spec"], resource)
    amounts = (asked, free, sum(sizes.values()), sum(taken.values()))
    one, most, size, gone = (_shown(amount, resource) for amount in amounts)
    return (
        f"{resource}: {_place(nodes)} {size}, {gone} are taken; a pod asks for {one}, at most {most} is free on a node"
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
