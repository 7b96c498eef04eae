"""States of a stack: the one that the engine has now, and those that were kept of it."""

import gzip
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from delivery.clients import checkpoint
from delivery.clients.engine import Engine
from delivery.errors import DeliveryError, system_errors

# How many of its own exports the command keeps of a stack.
_KEPT = 20


@dataclass(frozen=True)
class Backup:
    """A state that was kept; `moment` is when (seconds since 1970)."""

    file: Path
    moment: float

    def export(self) -> dict[str, Any]:
        """Return it in the form in which the engine imports a state; its secret values are encrypted as they were.

        Raise DeliveryError when it is not readable.
        """
        return checkpoint.read(self.file)


@dataclass(frozen=True)
class Snapshots:
    """The states of one stack."""

    engine: Engine
    stack: str

    @property
    def file(self) -> Path | None:
        """The file of the state in a file backend; None elsewhere, or where there is none."""
        return self.engine.state_file(self.stack)

    def current(self) -> dict[str, Any]:
        """Return the state as it is now; raise DeliveryError when it is not readable."""
        return self.engine.export(self.stack)

    def backups(self) -> list[Backup]:
        """Return what was kept, the newest first: the engine's own, made by each update, and the command's."""
        folders = [self._own]
        if self.engine.backend_folder is not None:
            folders.append(self.engine.backend_folder / ".pulumi" / "backups" / self.engine.project / self.stack)
        files = [file for folder in folders for file in folder.glob("*.json*") if _moment(file)]
        return sorted((Backup(file, _moment(file)) for file in files), key=lambda kept: kept.moment, reverse=True)

    def keep(self) -> Path:
        """Keep the state as it is now, readable or not, where only this user reads it; return the new file."""
        if self.file is not None:
            content, ending = self.file.read_bytes(), self.file.name.removeprefix(self.stack)
        else:
            content, ending = self.engine.run("stack", "export", "--stack", self.stack).encode(), ".json"
        with system_errors("keeping the state", "make the folder writable, or let STELLWERK_WORK name another one"):
            self._own.mkdir(parents=True, exist_ok=True, mode=0o700)
            place = self._own / f"{self.stack}.{time.time_ns()}{ending}"
            _write(place, content)
            own = sorted((file for file in self._own.glob("*.json*") if _moment(file)), key=_moment)
            for old in own[:-_KEPT]:
                old.unlink(missing_ok=True)
        return place

    @property
    def _own(self) -> Path:
        backend = sha256(self.engine.backend_url.encode()).hexdigest()[:16]
        return self.engine.work / "states" / backend / self.engine.project / self.stack

    def put(self, state: Mapping[str, Any]) -> None:
        """Have the engine take over a state, under its own lock; raise DeliveryError when it refuses it."""
        self.engine.run("stack", "import", "--stack", self.stack, stdin=json.dumps(state))

    def put_file(self, backup: Backup) -> None:
        """Replace the file of a state that the engine cannot read by a backup of it, in one step."""
        if self.file is None:
            raise DeliveryError(f"{self.stack}: the engine has no file of its state; run `stellwerk init {self.stack}`")
        content = checkpoint.content(backup.export(), self.engine.project, self.stack)
        with system_errors("writing the state", "make the backend's folder writable"):
            _write(self.file, gzip.compress(content) if self.file.suffix == ".gz" else content)


def _moment(file: Path) -> float:
    """Return when a file was kept, by its name (`<stack>.<nanoseconds>.json`); 0 of another file."""
    if file.name.endswith((".attrs", ".tmp")):
        return 0
    stamp = file.name.removesuffix(".gz").removesuffix(".json").rpartition(".")[2]
    return int(stamp) / 1e9 if stamp.isdigit() else 0


def _write(place: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}", dir=place.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(place)
