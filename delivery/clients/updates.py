"""The updates that a stack has had, as the engine keeps them: read from the files of a file backend, else asked for."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from delivery.clients.engine import Engine
from delivery.errors import DeliveryError, system_errors
from infra.values import NAMESPACE

_MODELS = f"{NAMESPACE}:models"
# More than a stack has in years.
_MOST = 10_000


@dataclass(frozen=True)
class PastUpdate:
    """An update that has ended; `record` is where the engine keeps it."""

    environment: str
    record: str
    document: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Return what was done: update, destroy, refresh, import, …"""
        return str(self.document.get("kind"))

    @property
    def result(self) -> str:
        """Return how it ended: succeeded or failed."""
        return str(self.document.get("result"))

    @property
    def succeeded(self) -> bool:
        """Return whether it was applied to its end."""
        return self.result == "succeeded"

    @cached_property
    def started(self) -> datetime:
        """The moment at which it began, to the second."""
        return _moment(self.document["startTime"])

    @cached_property
    def ended(self) -> datetime:
        """The moment at which it ended, to the second."""
        return _moment(self.document["endTime"])

    @property
    def commit(self) -> str | None:
        """Return the commit that was checked out; None outside git."""
        commit: str | None = self._environment.get("git.head")
        return commit

    @property
    def dirty(self) -> bool:
        """Return whether the checkout had changes beside its commit, or nobody knows."""
        return self._environment.get("git.dirty") != "false"

    @property
    def who(self) -> str | None:
        """Return who is known to have applied it: the CI system's run, else the committer of the commit."""
        ci = self._environment.get("ci.build.url") or self._environment.get("ci.system")
        who: str | None = ci or self._environment.get("git.committer")
        return who

    @cached_property
    def releases(self) -> dict[str, str | None]:
        """The release of each model in the values that it was applied with."""
        given = (self.document.get("config") or {}).get(_MODELS) or {}
        models = given.get("objectValue", given) if isinstance(given, Mapping) else {}
        return {name: (model or {}).get("release") for name, model in (models or {}).items()}

    @property
    def _environment(self) -> Mapping[str, Any]:
        return self.document.get("environment") or {}


def past_updates(engine: Engine, environment: str) -> list[PastUpdate]:
    """Return the updates of a stack, oldest first; raise DeliveryError where they cannot be read."""
    if engine.backend_folder is None:
        made = [PastUpdate(environment, engine.backend_url, each) for each in engine.history(environment, _MOST)]
    else:
        folder = engine.backend_folder / ".pulumi" / "history" / engine.project / environment
        with system_errors("reading the history of the stack", "make the backend's folder readable"):
            made = [PastUpdate(environment, file.name, _read(file)) for file in _files(folder)]
    try:
        return sorted(made, key=lambda update: (update.started, update.ended, update.record))
    except (KeyError, TypeError, ValueError) as error:
        raise DeliveryError(f"{environment}: the history of the stack is not readable: {error!r}") from None


def _files(folder: Path) -> Iterator[Path]:
    for ending in ("json", "json.gz"):
        yield from folder.glob(f"*.history.{ending}")


def _read(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    try:
        document: dict[str, Any] = json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
    except (ValueError, EOFError) as error:
        raise DeliveryError(f"{file} is no update of a stack: {error}; restore it from a backup") from None
    return document


def _moment(given: int | str) -> datetime:
    """Return a moment as the backend's file has it, in seconds since 1970, or as the engine prints it."""
    if isinstance(given, str):
        return datetime.fromisoformat(given)
    return datetime.fromtimestamp(given, UTC)
