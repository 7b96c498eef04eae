"""`stellwerk state repair` and `stellwerk state restore`: a state is put right, or replaced by one that was kept."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from delivery.clients.backend import changed
from delivery.clients.snapshots import Backup, Snapshots
from delivery.errors import DeliveryError
from delivery.operations.integrity import broken, interrupted, pending
from delivery.operations.settle import settle
from delivery.session import Session


@dataclass(frozen=True)
class Difference:
    """What another state of a stack has more, has not, or has otherwise than the one of now: URNs."""

    more: tuple[str, ...]
    less: tuple[str, ...]
    other: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.more or self.less or self.other)


def repair(session: Session, environment: str, confirmed: Callable[[], bool], console: Console) -> None:
    """Clear the pending operations of a state and its references to what is not in it, by the engine's own commands.

    After a killed update the cluster is read, too. The state as it was is kept. Raise DeliveryError with nothing
    changed when the answer is no, when somebody changes the environment, or when the state is not readable or has what
    only a restore puts right.
    """
    engine, snapshots = session.engine, Snapshots(session.engine, environment)
    session.backend.require_free(environment, console)
    deployment = snapshots.current()["deployment"]
    findings = [*broken(deployment, environment), *pending(deployment, environment)]
    findings += interrupted(session, environment)
    kinds = {finding.kind for finding in findings}
    for finding in findings:
        console.print(f"{environment}: {finding.kind}: {finding.text}", markup=False, highlight=False, soft_wrap=True)
    if "duplicate" in kinds:
        raise DeliveryError(
            f"{environment}: nothing says which one of two resources with one name is right; nothing was changed; "
            f"`stellwerk state restore --env {environment}` takes a state that was kept"
        )
    if not findings:
        console.print(f"{environment}: nothing to repair", highlight=False)
        return
    with _asked(session, environment, confirmed, console):
        console.print(f"{environment}: kept as it was in {snapshots.keep()}", highlight=False, soft_wrap=True)
        if "dangling" in kinds:
            engine.run("state", "repair", "--stack", environment, "--yes")
        if "pending" in kinds:
            session.kubectl(environment).require()
            arguments = ("--stack", environment, "--yes", "--skip-preview", "--clear-pending-creates")
            if not engine.show("refresh", *arguments):
                raise DeliveryError(f"the refresh of {environment} failed, see above; run the same command again")
        settle(engine, session.kubectl(environment), environment, console)


def choose(snapshots: Snapshots, until: float | None) -> Backup:
    """Return the newest backup, or the newest that is no younger than `until` (seconds since 1970).

    Without `until` it is the newest that differs from the state of now. Raise DeliveryError when there is none.
    """
    now = _readable(snapshots)
    for backup in snapshots.backups():
        if until is not None and backup.moment <= until:
            return backup
        if until is None and (now is None or difference(now, backup.export()["deployment"])):
            return backup
    text = "no backup of its state" if until is None else "no backup of its state from that time or before"
    hint = f"`stellwerk state restore --env {snapshots.stack} --list` shows what there is"
    raise DeliveryError(f"{snapshots.stack}: there is {text}; {hint}")


def compare(snapshots: Snapshots, backup: Backup) -> Difference | None:
    """Return what the backup has otherwise than the state of now; None when that is not readable."""
    now, then = _readable(snapshots), backup.export()["deployment"]
    return None if now is None else difference(now, then)


def difference(now: Mapping[str, Any], then: Mapping[str, Any]) -> Difference:
    """Return what `then` has otherwise than `now`, without what differs each time."""
    before, after = _contents(now), _contents(then)
    common = before.keys() & after.keys()
    return Difference(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(urn for urn in common if before[urn] != after[urn])),
    )


def restore(
    session: Session, environment: str, backup: Backup, confirmed: Callable[[], bool], console: Console
) -> None:
    """Take a state that was kept in the place of the one of now, which is kept, too.

    What is in the cluster stays as it is: the next update reads it first. Raise DeliveryError with nothing changed
    when the answer is no, when somebody changes the environment, or when the backup is broken itself.
    """
    snapshots = Snapshots(session.engine, environment)
    state = backup.export()
    if findings := list(broken(state["deployment"], environment)):
        raise DeliveryError(f"{backup.file}: {findings[0].kind}: {findings[0].text}; choose an older one with --to")
    session.backend.require_free(environment, console)
    with _asked(session, environment, confirmed, console):
        console.print(f"{environment}: kept as it was in {snapshots.keep()}", highlight=False, soft_wrap=True)
        if _readable(snapshots) is None:
            # The engine reads the state of now before it takes over another one.
            snapshots.put_file(backup)
        session.engine.locks(environment).interrupt(f"stellwerk state restore from {backup.file}", backup.moment)
        snapshots.put(state)


@contextmanager
def _asked(session: Session, environment: str, confirmed: Callable[[], bool], console: Console) -> Iterator[None]:
    """Ask, and keep others from changing the environment after the answer; refuse when they did before it."""
    before = session.backend.state(environment)
    if not confirmed():
        raise DeliveryError("nothing was changed")
    with session.backend.locked(environment, console):
        session.backend.require_free(environment, console)
        if session.backend.state(environment) != before:
            raise changed(environment)
        yield


def _readable(snapshots: Snapshots) -> Mapping[str, Any] | None:
    try:
        deployment: Mapping[str, Any] = snapshots.current()["deployment"]
    except DeliveryError:
        return None
    return deployment


def _contents(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return by URN what a resource is; equal secrets are encrypted otherwise each time, and moments differ."""
    return {
        item["urn"]: _plain({name: value for name, value in item.items() if name not in ("modified", "created")})
        for item in deployment.get("resources") or []
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: "" if name == "ciphertext" else _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
