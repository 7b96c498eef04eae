"""`stellwerk state check`: what is wrong with a state, found in its own text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delivery.clients.snapshots import Snapshots
from delivery.errors import DeliveryError
from delivery.session import Session

# A reference to a provider is its URN and its id.
_PROVIDER = "::"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: of which kind, what, and which command puts it right."""

    kind: str
    text: str
    action: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}; {self.action}"


@dataclass(frozen=True)
class Report:
    """A state: how many resources it has, what is wrong with it, how many backups there are, and of when the newest.

    `running` says who changes it right now: its pending operations are no findings then.
    """

    running: str | None
    resources: int
    findings: Sequence[Finding]
    backups: int
    newest: float | None


def stacks(session: Session) -> list[str]:
    """Return the environments that have a state, be it readable or not."""
    if session.engine.backend_folder is None:
        known = session.engine.stacks()
        return [name for name in session.project.environments if name in known]
    return [name for name in session.project.environments if Snapshots(session.engine, name).file]


def check(session: Session, environment: str) -> Report:
    """Return what is wrong with the environment's state; nothing but the backend is asked.

    Nothing is changed but this: empty files that a killed engine has left beside its own are removed.
    """
    snapshots = Snapshots(session.engine, environment)
    backups = snapshots.backups()
    newest = backups[0].moment if backups else None
    locks = list(_locks(session, environment))
    running = session.backend.holder(environment)
    try:
        deployment = snapshots.current()["deployment"]
    except DeliveryError as error:
        action = f"`stellwerk state restore --env {environment}`"
        return Report(running, 0, [*locks, Finding("not readable", str(error), action)], len(backups), newest)
    unknown = [] if running else pending(deployment, environment)
    findings = [*locks, *unknown, *broken(deployment, environment)]
    return Report(running, len(deployment.get("resources") or []), findings, len(backups), newest)


def _locks(session: Session, environment: str) -> Iterator[Finding]:
    locks = session.engine.locks(environment)
    for file in locks.remove_torn():
        yield Finding("torn", f"{file}: begun by an engine that was killed", "removed: the engine does without it")
    for lock in locks.all():
        if lock.is_dead():
            yield Finding("lock", f"of a killed update ({lock})", "the next `stellwerk` command breaks it")
        elif not lock.is_here:
            action = f"if it runs no more there, `pulumi cancel --stack {environment}`"
            yield Finding("lock", f"held on another machine ({lock})", action)
    if session.backend.holder(environment) is None:
        # One that runs may be noted before its state is whole.
        yield from interrupted(session, environment)


def interrupted(session: Session, environment: str) -> Iterator[Finding]:
    """Yield that the state may not be what is in the cluster, until somebody has read that."""
    if interruption := session.engine.locks(environment).interrupted:
        yield Finding("interrupted", str(interruption), f"`stellwerk state repair --env {environment}`")


def pending(deployment: Mapping[str, Any], environment: str) -> Iterator[Finding]:
    """Yield the operations of which the engine does not know how they ended."""
    for operation in deployment.get("pending_operations") or []:
        text = f"{operation['type']} {operation['resource']['urn']}"
        yield Finding("pending", text, f"`stellwerk state repair --env {environment}`")


def broken(deployment: Mapping[str, Any], environment: str) -> Iterator[Finding]:
    """Yield what the engine's own check of a state would refuse."""
    resources = deployment.get("resources") or []
    repair, restore = (f"`stellwerk state {word} --env {environment}`" for word in ("repair", "restore"))
    alive = Counter(item["urn"] for item in resources if not item.get("delete"))
    for urn, times in alive.items():
        if times > 1:
            yield Finding("duplicate", f"{urn} is there {times} times", restore)
    seen: set[str] = set()
    for item in resources:
        for what, urn in _references(item):
            if urn in seen:
                continue
            text = "comes after it" if urn in alive else "is not in the state"
            yield Finding("dangling", f"{item['urn']}: its {what} {urn} {text}", repair)
        seen.add(item["urn"])


def _references(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the resources that one needs, by what it needs them for."""
    if item.get("parent"):
        yield "parent", item["parent"]
    if item.get("provider"):
        yield "provider", item["provider"].rpartition(_PROVIDER)[0]
    if item.get("deletedWith"):
        yield "deletedWith", item["deletedWith"]
    needed = [*(item.get("dependencies") or [])]
    for urns in (item.get("propertyDependencies") or {}).values():
        needed += urns or []
    for urn in dict.fromkeys(needed):
        yield "dependency", urn
