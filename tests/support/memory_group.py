"""A control group with a memory limit, for servers that shall have as little as a pod's."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[list[str]]:
    """Make a group with a `limit` in bytes, and yield the command that runs another in it; skip where none can be made.

    It is gone when the block ends, as soon as its processes are.
    """
    group = _make(limit)
    if group is None:
        pytest.skip("needs root and a memory control group")
    try:
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]
    finally:
        deadline = time.monotonic() + 60
        while group.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                group.rmdir()
            time.sleep(0.05)


def _make(limit: int) -> Path | None:
    """Return a new group (version 1 or 2), None where that is not possible."""
    for root, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(root) / f"stellwerk-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / name).exists():
                (group / name).write_text(str(limit))
                return group
            group.rmdir()
    return None
