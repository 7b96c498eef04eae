"""What somebody has added by hand to the objects of a stack: the engine, which compares declared fields, misses it."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from delivery.clients.kubectl import Kubectl
from delivery.clients.managed import Extension, extensions
from delivery.clients.owned import Owned, keys, managed
from delivery.clients.snapshots import Snapshots
from delivery.operations.settle import mark
from delivery.session import Session

# How an exported state says that a value is secret; with the value itself where that was asked for.
_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105


@dataclass(frozen=True)
class Extended:
    """An object with more than is declared: its type and id in the state, what was added, and the object itself."""

    type: str
    id: str
    fields: tuple[Extension, ...]
    item: Mapping[str, Any] = field(compare=False, repr=False)


def extended(session: Session, environment: str) -> list[Extended]:
    """Return the objects of an environment to which somebody has added something.

    Raise DeliveryError where the cluster does not answer, or does not let this user list a kind.
    """
    objects = managed(session.kubectl(environment), session.engine.project, environment)
    return [
        Extended(resource["type"], resource["id"], fields, item)
        for resource in _resources(session, environment)
        for key in keys(resource["type"], resource["id"])
        if (item := objects.get(key)) and (fields := tuple(extensions(item, resource["inputs"])))
    ]


def _resources(session: Session, environment: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in a stack's state that are its own, with their secret values, which are compared as well."""
    text = session.engine.run("stack", "export", "--show-secrets", "--stack", environment)
    for resource in (json.loads(text).get("deployment") or {}).get("resources") or []:
        # A Patch sets fields in somebody else's object.
        if keys(resource["type"], resource.get("id", "")) and not resource["type"].endswith("Patch"):
            yield {**resource, "inputs": _plain(resource.get("inputs") or {})}


def _plain(value: Any) -> Any:
    """Return a part of an exported state with the values of its secrets."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _SECRET in value:
        return _plain(json.loads(value["plaintext"])) if "plaintext" in value else None
    return {key: _plain(item) for key, item in value.items()}


def take_back(session: Session, environment: str, shown: Collection[Extended], apply: Callable[[], None]) -> None:
    """Remove what was added, as it was shown; `apply` is the update that takes declared fields back by force.

    Raise DeliveryError when the cluster refuses it, or when an object was changed again meanwhile.
    """
    again = set()
    for resource in extended(session, environment):
        if resource not in shown:
            continue
        _remove(session.kubectl(environment), resource)
        if any(addition.declared for addition in resource.fields):
            again |= keys(resource.type, resource.id)
    if again:
        snapshots = Snapshots(session.engine, environment)
        state = snapshots.current()
        mark(state["deployment"], again)
        snapshots.put(state)
        apply()


def _remove(kubectl: Kubectl, resource: Extended) -> None:
    """Remove the fields that are not declared at all: no update does, as others own them."""
    places = [addition.pointer(resource.item) for addition in resource.fields if not addition.declared]
    if not places:
        return
    version = {"op": "test", "path": "/metadata/resourceVersion", "value": resource.item["metadata"]["resourceVersion"]}
    # The last element of a list first: the others keep their places.
    patch = [version, *({"op": "remove", "path": place} for place in sorted(places, key=_order, reverse=True))]
    item = Owned.of(resource.item)
    place = ("--namespace", item.namespace) if item.namespace else ()
    kubectl.run(*place, "patch", item.reference, "--type=json", "--patch", json.dumps(patch))


def _order(place: str) -> list[tuple[int, str]]:
    return [(int(word) if word.isdigit() else 0, word) for word in place.split("/")]
