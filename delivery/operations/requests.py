"""What pods ask of nodes and of quotas, in numbers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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


def tolerates(spec: Object, taints: Iterable[Object]) -> bool:
    """Return whether a pod may be placed on a node with these taints."""
    return all(any(_matches(each, taint) for each in spec.get("tolerations") or []) for taint in _strict(taints))


def _strict(taints: Iterable[Object]) -> Iterator[Object]:
    return (taint for taint in taints if taint["effect"] != "PreferNoSchedule")


def _matches(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
