"""`stellwerk drift`: what runs compared with what the stack's state says, and how it is put back."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from delivery.clients.backend import changed
from delivery.errors import DeliveryError
from delivery.operations.extended import Extended, extended, take_back
from delivery.operations.settle import wait
from delivery.session import Session

# Fields that somebody else has set are left alone, unless an update takes them over by force.
_FORCE = {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}
_FORCED = " ".join(f"{name}={value}" for name, value in _FORCE.items())
# Each takes an engine with its plugins: some 300 MB.
_AT_ONCE = 3
_CHANGES = {"delete": "deleted", "update": "changed"}


@dataclass(frozen=True)
class Drifted:
    """A resource that is not what the state says: its type and name, `deleted` or `changed`, the changed fields."""

    type: str
    name: str
    namespace: str | None
    change: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        fields = f": {', '.join(self.fields)}" if self.fields else ""
        return f"{self.type.rpartition(':')[2]} {self.name}{place} {self.change}{fields}"


def applied(session: Session) -> list[str]:
    """Return the environments that have a stack."""
    known = session.engine.stacks()
    return [name for name in session.project.environments if name in known]


def drift_of_all(session: Session, environments: Sequence[str]) -> dict[str, list[Drifted]]:
    """Return the drift of each of the environments, a few of which are compared at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(environments, pool.map(lambda name: drift(session, name), environments), strict=True))


def drift(session: Session, environment: str) -> list[Drifted]:
    """Return every resource of the environment that was deleted or changed by something else than the engine.

    Only fields that the program sets count, and what a person or another program has added within them. Nothing is
    changed, nor is the state. Raise DeliveryError when the cluster does not answer or there is no such stack.
    """
    if environment not in applied(session):
        raise DeliveryError(f"{environment}: there is no such stack yet; run `stellwerk init {environment}`")
    session.kubectl(environment).require()
    with ThreadPoolExecutor(1) as beside:
        added = beside.submit(extended, session, environment)
        text = session.engine.run("refresh", "--preview-only", "--json", "--stack", environment)
    seen = (_resource(step) for step in json.loads(text).get("steps", ()) if step["op"] in _CHANGES)
    return sorted(_merged(seen, added.result()), key=lambda item: (item.type, item.name))


def _resource(step: Mapping[str, Any]) -> Drifted:
    old = step["oldState"]
    fields = tuple(sorted(step["detailedDiff"] or {}))
    return _drifted(old["type"], old.get("id") or old["urn"].rpartition("::")[2], _CHANGES[step["op"]], fields)


def _drifted(kind: str, identity: str, change: str, fields: Iterable[str]) -> Drifted:
    namespace, _, name = identity.rpartition("/")
    return Drifted(kind, name, namespace or None, change, tuple(fields))


def _merged(changed: Iterable[Drifted], added: Iterable[Extended]) -> list[Drifted]:
    """Return one entry a resource: with the fields that have other values, and those that somebody has added to."""
    seen = {(item.type, item.namespace, item.name): item for item in changed}
    for item in added:
        drifted = _drifted(item.type, item.id, _CHANGES["update"], map(str, item.fields))
        known = seen.setdefault((drifted.type, drifted.namespace, drifted.name), replace(drifted, fields=()))
        # The engine names what has changed to the value itself.
        new = [field for field in drifted.fields if not any(other.startswith(field) for other in known.fields)]
        seen[drifted.type, drifted.namespace, drifted.name] = replace(
            known, fields=tuple(sorted([*known.fields, *new]))
        )
    return list(seen.values())


def repair(session: Session, environment: str, confirmed: Callable[[], bool], console: Console) -> None:
    """Show and apply what the stack's file says, over changes made by hand.

    The environment is locked but while the question waits, as for a promotion. Raise DeliveryError when the answer is
    no, when something changed meanwhile, or when the engine fails.
    """
    with _settled(session, environment, console):
        if not _forced(session, "preview", "--refresh", "--diff", "--stack", environment):
            raise DeliveryError(f"the preview of {environment} failed, see above; nothing was changed")
        shown, added = _inputs(session, environment), extended(session, environment)
        for item in _merged((), added):
            console.print(f"{environment}: to be taken back: {item}", highlight=False, markup=False)
    if not confirmed():
        raise DeliveryError("nothing was changed")
    with _settled(session, environment, console):
        if (_inputs(session, environment), extended(session, environment)) != (shown, added):
            raise changed(environment)
        _apply(session, environment, "--refresh")
        take_back(session, environment, added, lambda: _apply(session, environment))


def _apply(session: Session, environment: str, *options: str) -> None:
    if not _forced(session, "up", *options, "--yes", "--skip-preview", "--stack", environment):
        # Its refresh is in the state already, where this command would see no drift any more.
        again = f"{_FORCED} pulumi up --stack {environment}"
        raise DeliveryError(f"{environment}: the update failed, see above; when that is put right, run `{again}`")


@contextmanager
def _settled(session: Session, environment: str, console: Console) -> Iterator[None]:
    """Keep promotions and updates of the environment away, once those under way have ended."""
    with session.backend.locked(environment, console):
        wait(session, environment, console)
        yield


def _inputs(session: Session, environment: str) -> object:
    """Return what an update depends on: the stack's file and its state."""
    session.project.reload(environment)
    return session.project.text(environment), session.backend.state(environment)


def _forced(session: Session, *arguments: str) -> bool:
    words = ["pulumi", *arguments, "--color=auto", "--suppress-progress"]
    return session.engine.call(words, stdout=2, variables=_FORCE) == 0
