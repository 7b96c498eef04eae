"""`stellwerk diff`: every difference between the values of two environments, and whether somebody intends it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from delivery.errors import DeliveryError
from delivery.project import Project
from infra.composition.service import Stack
from infra.contract.differences import read_differences
from infra.contract.environment import OWN
from infra.contract.problems import KeyPath


@dataclass(frozen=True)
class Difference:
    """A key whose values differ, by environment; one that has no such key is absent from `values`.

    `reason` says why it is intended; None: it is not.
    """

    key: str
    values: Mapping[str, Any]
    reason: str | None

    @property
    def intended(self) -> bool:
        """Return whether it differs by its nature, or the team says why it does."""
        return self.reason is not None


def differences(project: Project, first: str, second: str) -> list[Difference]:
    """Return what differs between the values of two environments with all defaults, by key; the intended last.

    Raise DeliveryError when they are one, ConfigError when there is no such environment or a file is not right.
    """
    if first == second:
        raise DeliveryError(f"{first} and {second} are one environment; name two")
    stacks = {name: project.stack(name) for name in (first, second)}
    left, right = (stack.environment.model_dump(mode="json", by_alias=True) for stack in stacks.values())
    declared = read_differences(project.root, left.keys(), project.environments)
    natural = {path: reason for stack in stacks.values() for path, reason in _natural(stack)}
    made = [
        Difference(
            ".".join(map(str, path)),
            {name: value for name, value in zip(stacks, values, strict=True) if value is not _ABSENT},
            natural.get(path) or declared.reason(path, stacks.keys()),
        )
        for path, *values in _unequal((), left, right)
    ]
    return sorted(made, key=lambda each: (each.intended, each.key))


def _natural(stack: Stack) -> Iterator[tuple[KeyPath, str]]:
    """Yield the keys that differ between environments by their nature, each with the reason."""
    yield from (((key,), reason) for key, reason in OWN.items())
    yield from ((port.path, "a port of the nodes is one environment's") for port in stack.node_ports())
    yield from ((pointer.path, "promotion moves it") for pointer in stack.pointers())


class _Absent:
    """Stands for a key that an environment does not have; null is a value."""


_ABSENT = _Absent()


def _unequal(path: KeyPath, left: Any, right: Any) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Yield the path and the two values of each difference, as deep as both have mappings."""
    one, other = _keyed(left), _keyed(right)
    if one is None or other is None:
        if left != right:
            yield path, left, right
        return
    for key in sorted({*one, *other}):
        yield from _unequal((*path, key), one.get(key, _ABSENT), other.get(key, _ABSENT))


def _keyed(value: Any) -> Mapping[str, Any] | None:
    """Return a mapping, or a list of things that have names of their own by these; None for anything else."""
    if isinstance(value, list) and value and all(isinstance(each, Mapping) and "name" in each for each in value):
        return {each["name"]: each for each in value}
    return value if isinstance(value, Mapping) else None
