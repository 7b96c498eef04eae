"""What pods ask of nodes and of quotas, in numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from delivery.operations.events import quantity

Object = Mapping[str, Any]

# Of these a quota's key without prefix means what is requested.
_PLAIN = ("cpu", "memory", "ephemeral-storage")


def needs(spec: Object, side: str = "requests") -> Counter[str]:
    """Return what a pod asks for by resource: its containers together, or what runs before them if that is more."""
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for container in spec.get("initContainers") or []:
        own = _amounts(container.get("resources"), side)
        # One that is restarted goes on beside the others.
        if container.get("restartPolicy") == "Always":
            running += own
            most |= running
        else:
            most |= running + own
    for container in spec["containers"]:
        running += _amounts(container.get("resources"), side)
    total = running | most
    stated = _amounts(spec.get("resources"), side)
    total = Counter({**total, **stated})
    return total + Counter({name: quantity(str(value)) for name, value in (spec.get("overhead") or {}).items()})


def used(hard: Iterable[str], specs: Iterable[Object]) -> dict[str, str]:
    """Return by key of a quota what pods use of it, as the API server writes quantities."""
    total: Counter[str] = Counter()
    for spec in specs:
        total.update(_counted(spec))
    return {key: f"{round(total[key] * 1000)}m" for key in hard}


def _counted(spec: Object) -> dict[str, float]:
    counted: dict[str, float] = {"pods": 1, "count/pods": 1}
    for side in ("requests", "limits"):
        for name, amount in needs(spec, side).items():
            counted[f"{side}.{name}"] = amount
            if side == "requests" and name in _PLAIN:
                counted[name] = amount
    return counted


def _amounts(resources: Object | None, side: str) -> Counter[str]:
    """Return requests or limits of a container by resource; what is limited alone is requested, too."""
    given = resources or {}
    named = {**(given.get("limits") or {}), **(given.get("requests") or {})} if side == "requests" else given.get(side)
    return Counter({name: quantity(str(value)) for name, value in (named or {}).items()})


def takes(node: Object, spec: Object, *, daemon: bool = False) -> bool:
    """Return whether a node is one for a pod, by labels and taints alone; one of a `daemon` tolerates more."""
    metadata, state = node["metadata"], node.get("spec") or {}
    labels = metadata.get("labels") or {}
    chosen = all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms")
    near = not terms or any(_term(term, labels, metadata["name"]) for term in terms)
    given = [*(spec.get("tolerations") or []), *(DAEMON_TOLERATIONS if daemon else ())]
    taints = [taint for taint in state.get("taints") or [] if taint["effect"] != "PreferNoSchedule"]
    taints += [_UNSCHEDULABLE] if state.get("unschedulable") else []
    return chosen and near and all(any(_tolerates(each, taint) for each in given) for taint in taints)


_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
# What the controller of a DaemonSet adds.
DAEMON_TOLERATIONS: tuple[Object, ...] = tuple(
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
    for effect, names in (
        ("NoSchedule", ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")),
        ("NoExecute", ("not-ready", "unreachable")),
    )
    for name in names
)


def _term(term: Object, labels: Object, name: str) -> bool:
    fields = [_expression(each, {"metadata.name": name}) for each in term.get("matchFields") or []]
    return all([*fields, *(_expression(each, labels) for each in term.get("matchExpressions") or [])])


def _expression(expression: Object, labels: Object) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case _:
            return value is not None and int(value) < int(values[0])


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
