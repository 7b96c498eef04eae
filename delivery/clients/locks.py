"""The engine's locks of a stack in a file backend: whose they are, and how one is broken whose owner is dead."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from delivery.clients.processes import ENGINE, end_survivors, exists, process
from delivery.errors import system_errors

# A lock is written beside its place and then renamed: what is not whole after this long is what a killed writer left.
_WRITTEN_SECONDS = 10
# Clocks are set: a process counts as younger than a lock only when it began this much later.
_CLOCK_SECONDS = 60
_BESIDE = ".attrs"
_KEPT = ("history", "backups")


@dataclass(frozen=True)
class Lock:
    """A lock as its owner wrote it; without an owner it is not whole. `since` is in seconds since 1970."""

    file: Path
    pid: int | None = None
    username: str = "?"
    hostname: str = "?"
    since: float = 0
    process: str = ENGINE

    def __str__(self) -> str:
        began = datetime.fromtimestamp(self.since).strftime("%Y-%m-%d %H:%M:%S")
        return f"{self.username}@{self.hostname}, process {self.pid}, since {began}"

    @property
    def is_here(self) -> bool:
        """Whether its owner ran on this machine; of one on another nothing here can tell whether it lives."""
        return self.hostname == os.uname().nodename

    def is_dead(self) -> bool:
        """Return whether the owner is certainly gone."""
        if self.pid is None:
            return time.time() - self.since > _WRITTEN_SECONDS
        return self.is_here and not _is_running(self.pid, self.since, self.process)


@dataclass(frozen=True)
class Interruption:
    """Why a state may not be what is in the cluster: who was killed, and since when (seconds since 1970)."""

    reason: str
    since: float

    def __str__(self) -> str:
        return self.reason


def read(file: Path) -> Lock | None:
    """Return the lock in a file, None where it was given back meanwhile."""
    try:
        text, written = file.read_text(encoding="utf-8"), file.stat().st_mtime
    except FileNotFoundError:
        return None
    try:
        said = json.loads(text)
        since = datetime.fromisoformat(said["timestamp"]).timestamp() if said.get("timestamp") else written
        name, host = str(said.get("username", "?")), str(said.get("hostname", "?"))
        return Lock(file, int(said["pid"]), name, host, since, str(said.get("process", ENGINE)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Lock(file, since=written)


@dataclass(frozen=True)
class StackLocks:
    """The locks of one stack in the backend at `url`; only those of a file backend are seen."""

    url: str
    project: str
    stack: str

    @property
    def backend(self) -> Path | None:
        """The folder of a file backend; other backends know their clients themselves."""
        return Path(urlsplit(self.url).path) if self.url.startswith("file://") else None

    def all(self) -> list[Lock]:
        """Return the locks that the engine itself would see, half-written ones included."""
        if self.backend is None:
            return []
        folder = self._folder(self.backend)
        files = sorted(file for file in folder.glob("*") if not file.name.endswith(_BESIDE))
        return [lock for lock in map(read, files) if lock]

    def remove_torn(self) -> list[Path]:
        """Remove what a killed engine has left of the files that it keeps beside its own; return what was removed.

        In them are content types and digests that it does without. They are written in place: of one that is empty it
        says `EOF`, to every command about the backend. To remove one that is being written does no harm.
        """
        if self.backend is None:
            return []
        place = self.backend / ".pulumi"
        folders = (place / "stacks" / self.project, *(place / name / self.project / self.stack for name in _KEPT))
        torn = [file for folder in folders for file in folder.glob(f"*{_BESIDE}") if _is_empty(file)]
        for file in torn:
            with system_errors("removing a torn file", f"make {file.parent} writable"):
                file.unlink(missing_ok=True)
        return torn

    def held(self) -> list[Lock]:
        """Return the locks whose owner runs, or may run on another machine."""
        return [lock for lock in self.all() if lock.pid is not None and not lock.is_dead()]

    def break_dead(self) -> list[Lock]:
        """Remove the locks whose owner is dead, and no other; return them.

        `pulumi cancel` would remove every lock, also that of an update which began a moment ago. The engine never
        uses a lock's name twice, so that what is removed by name is what was looked at.
        """
        backend = self.backend
        if backend is None or not any(lock.is_dead() for lock in self.all()):
            return []
        broken = []
        with system_errors(f"breaking a lock of {self.stack}", f"make {backend} writable"), _alone(backend):
            # As long as the lock stands nobody begins an update beside them.
            end_survivors(self.url)
            for lock in self.all():
                if lock.is_dead() and self._remove(lock, backend):
                    broken.append(lock)
        return broken

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Take a lock as the engine does, which refuses to work beside it; say whether there was no other."""
        if self.backend is None or self.all():
            yield False
            return
        folder = self._folder(self.backend)
        own = process(os.getpid())
        said = {
            "pid": os.getpid(),
            "username": getuser(),
            "hostname": os.uname().nodename,
            "timestamp": datetime.now(UTC).isoformat(),
            "process": own.name if own else ENGINE,
        }
        place = folder / f"{uuid4()}.json"
        with system_errors(f"locking {self.stack}", f"make {folder} writable"):
            folder.mkdir(parents=True, exist_ok=True)
            place.with_suffix(".partial.attrs").write_text(json.dumps(said), encoding="utf-8")
            place.with_suffix(".partial.attrs").rename(place)
        try:
            # As the engine does: of two that have begun at the same moment each sees the other.
            yield len(self.all()) == 1
        finally:
            place.unlink(missing_ok=True)

    def _folder(self, backend: Path) -> Path:
        return backend / ".pulumi" / "locks" / "organization" / self.project / self.stack

    def _remove(self, lock: Lock, backend: Path) -> bool:
        """Take a lock away; return whether it was the one that was judged."""
        if lock.pid is not None:
            # First of all: once the lock is gone nothing else says that the state may not be what is in the cluster.
            self.interrupt(str(lock), lock.since)
        aside = backend / f"stellwerk-broken-{lock.file.name}"
        try:
            lock.file.rename(aside)
        except FileNotFoundError:
            return False
        taken = read(aside)
        if taken is None or (taken.pid, taken.hostname, taken.since) != (lock.pid, lock.hostname, lock.since):
            with suppress(FileExistsError, FileNotFoundError):
                os.link(aside, lock.file)
            aside.unlink(missing_ok=True)
            return False
        aside.unlink()
        lock.file.with_name(f"{lock.file.name}{_BESIDE}").unlink(missing_ok=True)
        return True

    def _mark(self, backend: Path) -> Path:
        return backend / f"stellwerk-{self.project}-{self.stack}.interrupted"

    @property
    def interrupted(self) -> Interruption | None:
        """What has cut off an update, as long as nobody has read the cluster since."""
        if self.backend is None:
            return None
        try:
            said = json.loads(self._mark(self.backend).read_text(encoding="utf-8"))
            return Interruption(str(said["reason"]), float(said["since"]))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            # The disk was full: everything may have been changed.
            return Interruption("when is not known", 0)

    def interrupt(self, reason: str, since: float) -> None:
        """Note that what was changed in the cluster since a time may not be what the state says, and why."""
        if self.backend is not None:
            before = self.interrupted
            said = {"reason": reason, "since": min(since, before.since) if before else since}
            self._mark(self.backend).write_text(json.dumps(said), encoding="utf-8")

    def settle(self) -> None:
        """Note that the state is what is in the cluster again."""
        if self.backend is not None:
            with suppress(PermissionError):
                self._mark(self.backend).unlink(missing_ok=True)


@contextmanager
def _alone(backend: Path) -> Iterator[None]:
    """Keep others of this machine from breaking locks at the same moment."""
    descriptor = os.open(backend / "stellwerk-locks.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except FileNotFoundError:
        return False


def _is_running(pid: int, since: float, name: str) -> bool:
    """Return whether a process may be the one of this name that took a lock at `since`."""
    if not exists(pid):
        return False
    try:
        seen = process(pid)
    except OSError:
        return True
    return seen is not None and seen.name == name and seen.began < since + _CLOCK_SECONDS
