"""Who changes an environment right now: the command's own lock, and what a file backend says of the engine's."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from delivery.clients.engine import Engine
from delivery.errors import DeliveryError, system_errors


def changed(environment: str) -> DeliveryError:
    """Return what is said when an environment is not what it was when its change was shown."""
    return DeliveryError(f"{environment}: the environment changed since the preview, look again; nothing was changed")


@dataclass(frozen=True)
class Backend:
    """Where the engine keeps states and locks; only a file backend can be asked cheaply."""

    engine: Engine

    @property
    def _folder(self) -> Path | None:
        """The folder of a file backend; other backends know their clients themselves."""
        url = self.engine.backend_url
        return Path(urlsplit(url).path) if url.startswith("file://") else None

    def state(self, environment: str) -> object:
        """Return what is equal as long as no update has written the stack's state."""
        if self._folder is None:
            return None
        files = sorted((self._folder / ".pulumi" / "stacks" / "stellwerk").glob(f"{environment}.json*"))
        return [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]

    @contextmanager
    def locked(self, environment: str, console: Console) -> Iterator[None]:
        """Keep other `stellwerk` commands of this machine from changing the environment.

        The lock belongs to the backend, so that two checkouts with one backend share it; the system takes it back from
        a command that is killed. Against other machines, and plain `pulumi up`, the engine's own lock holds.
        """
        file = self._lock_file(environment)
        with system_errors(f"locking {environment}", f"make {file.parent} writable"):
            file.parent.mkdir(parents=True, exist_ok=True)
            # Others may hold it, too, on a machine that several people share: reading is enough for that.
            descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            waits = False
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if not waits:
                    console.print(f"waiting for another change of {environment} to end", highlight=False)
                waits = True
                self.engine.clock.sleep(0.2)
            yield
        finally:
            os.close(descriptor)

    def _lock_file(self, environment: str) -> Path:
        if self._folder is not None:
            return self._folder / f"stellwerk-{environment}.lock"
        name = f"{environment}-{sha256(self.engine.backend_url.encode()).hexdigest()[:16]}.lock"
        return self.engine.work / "locks" / name

    def holder(self, environment: str) -> str | None:
        """Return who holds the engine's lock of a stack right now, None when nobody does or only the backend knows."""
        locks = [lock for lock in self._engine_locks(environment) if _is_running(lock)]
        if not locks:
            return None
        return "{username}@{hostname}, process {pid}".format_map({"username": "?", "hostname": "?", **locks[0]})

    def wait(self, environment: str, console: Console) -> None:
        """Wait for an update that is running, and remove the lock of one that was killed."""
        waits = False
        while locks := self._engine_locks(environment):
            alive = [lock["pid"] for lock in locks if _is_running(lock)]
            if not alive:
                console.print(f"[dim]removing the lock of an interrupted update of {environment}[/dim]")
                self.engine.run("cancel", "--stack", environment, "--yes")
                return
            if not waits:
                console.print(f"waiting for another update of {environment} (process {alive[0]}) to end")
            waits = True
            self.engine.clock.sleep(1)

    def _engine_locks(self, environment: str) -> Sequence[dict[str, Any]]:
        """Return the locks of a stack in a file backend."""
        if self._folder is None:
            return []
        folder = self._folder / ".pulumi" / "locks" / "organization" / "stellwerk" / environment
        locks = []
        for file in folder.glob("*.json"):
            # One that is being written or was just removed counts as none.
            with suppress(OSError, json.JSONDecodeError):
                locks.append(json.loads(file.read_text()))
        return locks


def _is_running(lock: dict[str, Any]) -> bool:
    """Return whether a lock's process runs; a lock of another host counts as running: nothing here can tell."""
    if lock.get("hostname") != os.uname().nodename:
        return True
    try:
        return Path(f"/proc/{lock['pid']}/comm").read_text().strip() == "pulumi"
    except OSError:
        return False
