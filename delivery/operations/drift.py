"""`stellwerk drift`: what runs compared with what the stack's state says, and how it is put back."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from delivery.clients.backend import changed
from delivery.errors import DeliveryError
from delivery.operations.settle import wait
from delivery.session import Session

# Fields that somebody else has set are left alone, unless an update takes them over by force.
_FORCE = {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}
_FORCED = " ".join(f"{name}={value}" for name, value in _FORCE.items())
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


def drift(session: Session, environment: str) -> list[Drifted]:
    """Return every resource of the environment that was deleted or changed by something else than the engine.

    Only fields that the program sets count. Nothing is changed, nor is the state. Raise DeliveryError when the
    cluster does not answer or there is no such stack.
    """
    if environment not in applied(session):
        raise DeliveryError(f"{environment}: there is no such stack yet; run `stellwerk init {environment}`")
    session.kubectl(environment).require()
    steps = json.loads(session.engine.run("refresh", "--preview-only", "--json", "--stack", environment))["steps"]
    return sorted(
        (_resource(step) for step in steps if step["op"] in _CHANGES), key=lambda item: (item.type, item.name)
    )


def _resource(step: Mapping[str, Any]) -> Drifted:
    old = step["oldState"]
    namespace, _, name = (old.get("id") or old["urn"].rpartition("::")[2]).rpartition("/")
    fields = tuple(sorted(step["detailedDiff"] or {}))
    return Drifted(old["type"], name, namespace or None, _CHANGES[step["op"]], fields)


def repair(session: Session, environment: str, confirmed: Callable[[], bool], console: Console) -> None:
    """Show and apply what the stack's file says, over changes made by hand.

    The environment is locked but while the question waits, as for a promotion. Raise DeliveryError when the answer is
    no, when something changed meanwhile, or when the engine fails.
    """
    with _settled(session, environment, console):
        if not _forced(session, "preview", "--refresh", "--diff", "--stack", environment):
            raise DeliveryError(f"the preview of {environment} failed, see above; nothing was changed")
        shown = _inputs(session, environment)
    if not confirmed():
        raise DeliveryError("nothing was changed")
    with _settled(session, environment, console):
        if _inputs(session, environment) != shown:
            raise changed(environment)
        if not _forced(session, "up", "--refresh", "--yes", "--skip-preview", "--stack", environment):
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
