"""One command at a time starts the node or takes it away."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(root: Path, waiting: Callable[[], None], *, make: bool = False) -> Iterator[bool]:
    """Hold the state directory, which is made where `make` says so; yield whether it exists.

    `waiting` is called where another command holds it, whose end is waited for. The lock is the directory's own: it
    goes with it, and the system takes it back from a command that is killed.
    """
    descriptor = _hold(root, waiting)
    while descriptor is None and make:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = _hold(root, waiting)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _hold(root: Path, waiting: Callable[[], None]) -> int | None:
    """Return the descriptor of the locked directory, None where it is not there or another command has removed it."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if not _is(descriptor, root):
        os.close(descriptor)
        return None
    return descriptor


def _is(descriptor: int, root: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), root.stat())
    except FileNotFoundError:
        return False
