"""Who changes an environment right now: the command's own lock, and what a file backend says of the engine's."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from delivery.clients import checkpoint
from delivery.clients.engine import Engine
from delivery.clients.locks import Lock
from delivery.clients.snapshots import Snapshots
from delivery.errors import DeliveryError, system_errors

# An update on another machine that takes longer is refused for; on this one an owner that runs is waited for.
_PATIENCE_SECONDS = 600


def changed(environment: str) -> DeliveryError:
    """Return what is said when an environment is not what it was when its change was shown."""
    return DeliveryError(f"{environment}: the environment changed since the preview, look again; nothing was changed")


@dataclass(frozen=True)
class Backend:
    """Where the engine keeps states and locks; only a file backend can be asked cheaply."""

    engine: Engine

    def state(self, environment: str) -> object:
        """Return what is equal as long as no update has written the stack's state."""
        folder = self.engine.backend_folder
        if folder is None:
            return None
        files = sorted(checkpoint.stacks(folder, self.engine.project).glob(f"{environment}.json*"))
        return [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]

    @contextmanager
    def locked(self, environment: str, console: Console) -> Iterator[None]:
        """Keep other `stellwerk` commands of this machine from changing the environment.

        The lock belongs to the backend, so that two checkouts with one backend share it; the system takes it back from
        a command that is killed. Against other machines, and plain `pulumi up`, the engine's own lock holds. A state
        that is not in files is kept first, for `stellwerk state restore`.
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
            if self.engine.backend_folder is None:
                # In a file backend the engine keeps the states itself.
                Snapshots(self.engine, environment).keep()
            yield
        finally:
            os.close(descriptor)

    def _lock_file(self, environment: str) -> Path:
        folder = self.engine.backend_folder
        if folder is not None:
            return folder / f"stellwerk-{environment}.lock"
        name = f"{environment}-{sha256(self.engine.backend_url.encode()).hexdigest()[:16]}.lock"
        return self.engine.work / "locks" / name

    def holder(self, environment: str) -> str | None:
        """Return who holds the engine's lock of a stack right now, None when nobody does or only the backend knows."""
        held = self.engine.locks(environment).held()
        return str(held[0]) if held else None

    def require_free(self, environment: str, console: Console) -> None:
        """Break the lock of a killed update; raise DeliveryError naming who holds the stack, if somebody does."""
        self._break_dead(environment, console)
        if held := self.engine.locks(environment).held():
            raise _refusal(environment, held[0])

    def wait(self, environment: str, console: Console) -> None:
        """Wait for an update that is running, and break the lock of one that was killed.

        Raise DeliveryError when one on another machine has not ended after ten minutes: it may have been killed.
        """
        locks, began, waits = self.engine.locks(environment), self.engine.clock.monotonic(), False
        while True:
            self._break_dead(environment, console)
            held = locks.held()
            if not held:
                return
            if not held[0].is_here and self.engine.clock.monotonic() - began > _PATIENCE_SECONDS:
                raise _refusal(environment, held[0])
            if not waits:
                console.print(f"waiting for another update of {environment} ({held[0]}) to end", highlight=False)
            waits = True
            self.engine.clock.sleep(1)

    def _break_dead(self, environment: str, console: Console) -> None:
        for lock in self.engine.locks(environment).break_dead():
            owner = f": {lock}" if lock.pid is not None else ""
            text = f"removing the lock of an interrupted update of {environment}{owner}"
            console.print(text, style="dim", highlight=False, markup=False)
        self.engine.locks(environment).remove_torn()


def _refusal(environment: str, lock: Lock) -> DeliveryError:
    """Return what is said when somebody else changes the environment."""
    if lock.is_here:
        return DeliveryError(
            f"{environment}: another update runs ({lock}); nothing was changed; wait until it has ended"
        )
    return DeliveryError(
        f"{environment}: an update on another machine holds the lock ({lock}); nothing was changed; wait until it has "
        f"ended, or look on {lock.hostname}: if no process {lock.pid} runs there, `pulumi cancel --stack {environment}`"
    )
