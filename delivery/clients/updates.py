"""What a stack has recorded of its updates: in a file backend read without the engine, elsewhere asked of it.

The engine writes a record when an update ends: its configuration, its result, the commit that was checked out. Of one
that was killed there is none; the next update of the command reads the cluster first, and says so in its message.
"""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from delivery.clients.author import parse
from delivery.clients.engine import Engine
from delivery.errors import DeliveryError, system_errors
from infra.contract.stacks import own

_OWNER = re.compile(r"^(?P<by>\S+), process \d+, since (?P<since>[\d-]+ [\d:]+)")
_SUCCEEDED = "succeeded"


@dataclass(frozen=True)
class Recorded:
    """An update as the stack has recorded it; times are in seconds since 1970.

    `releases` is what its stack file named by model, None where that is not known. `result` is succeeded, failed,
    killed or running. `by` is None where nobody has said who it was, `commit` what was checked out, `run` the CI's;
    `clean` is whether nothing was changed beside the commit.
    """

    kind: str
    result: str
    began: float
    ended: float | None
    releases: Mapping[str, str | None] | None
    by: str | None = None
    commit: str | None = None
    run: str | None = None
    clean: bool = False

    @property
    def succeeded(self) -> bool:
        """Return whether it was applied to its end."""
        return self.result == _SUCCEEDED


def updates(engine: Engine, stack: str) -> list[Recorded]:
    """Return the updates of a stack, oldest first, with one that runs or was killed and that nobody has settled yet.

    What changes no release is left out: previews, and what reads the cluster. Raise DeliveryError when the backend
    cannot be read.
    """
    made = [update for entry in _entries(engine, stack) for update in _of(entry)]
    locks = engine.locks(stack)
    for lock in locks.all():
        if lock.pid is not None:
            result = "killed" if lock.is_dead() else "running"
            made.append(Recorded("update", result, lock.since, None, None, f"{lock.username}@{lock.hostname}"))
    if locks.interrupted is not None:
        made.append(_killed(str(locks.interrupted), locks.interrupted.since))
    return sorted(made, key=lambda update: update.ended or update.began)


def _entries(engine: Engine, stack: str) -> Iterator[Mapping[str, Any]]:
    folder = engine.backend_folder
    if folder is None:
        if stack in engine.stacks():
            yield from engine.history(stack, updates=1000)
        return
    for file in sorted((folder / ".pulumi" / "history" / engine.project / stack).glob(f"{stack}-*.history.json*")):
        # The engine keeps its files' digests beside them.
        if file.suffix != ".attrs":
            yield _read(file)


def _read(file: Path) -> Mapping[str, Any]:
    with system_errors("reading the history of updates", "make the backend's folder readable"):
        content = file.read_bytes()
    try:
        entry: Mapping[str, Any] = json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
    except (ValueError, EOFError) as error:
        raise DeliveryError(f"{file} is no record of an update: {error}; remove it, or bring it back") from None
    return entry


def _of(entry: Mapping[str, Any]) -> Iterator[Recorded]:
    """Yield what an entry says: an update, and before it one that was killed, of which nothing else is recorded."""
    said = parse(entry.get("message") or "")
    if said and said.killed:
        yield _killed(said.killed, _seconds(entry.get("startTime")) or 0)
    kind = entry.get("kind", "")
    if kind not in ("update", "destroy"):
        return
    more = entry.get("environment") or {}
    yield Recorded(
        kind,
        entry.get("result", ""),
        _seconds(entry.get("startTime")) or 0,
        _seconds(entry.get("endTime")),
        {} if kind == "destroy" else _releases(entry.get("config") or {}),
        said.by if said else None,
        more.get("git.head"),
        more.get("ci.build.url"),
        more.get("git.dirty") == "false",
    )


def _killed(reason: str, otherwise: float) -> Recorded:
    """Return what is known of an update that was killed, by what was noted when its lock was broken."""
    owner = _OWNER.match(reason)
    since = datetime.fromisoformat(owner["since"]).timestamp() if owner else otherwise
    return Recorded("update", "killed", since, None, None, owner["by"] if owner else None)


def _releases(config: Mapping[str, Any]) -> Mapping[str, str | None] | None:
    models = own(config).get("models")
    # The engine's command wraps each value, its files do not.
    models = models.get("objectValue", models) if isinstance(models, Mapping) else None
    if models is None:
        return None
    return {name: (model or {}).get("release") or None for name, model in models.items()}


def _seconds(time: Any) -> float | None:
    if not time:
        return None
    return datetime.fromisoformat(time).timestamp() if isinstance(time, str) else float(time)
