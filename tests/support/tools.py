"""Real processes of the built toolchain, for tests that need no cluster: skipped where it has not been built."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.toolchain.paths import bin_folder

# Ports that were given out; whoever is to listen there is beside them, by SO_REUSEADDR.
_HELD: list[socket.socket] = []


def tool(name: str) -> Path:
    """Return the tool's binary; skip the test where `stellwerk cluster up` has not made it yet."""
    file = bin_folder() / name
    if not file.exists():
        pytest.skip(f"{name} is not built yet: `stellwerk cluster up` does it")
    return file


@contextmanager
def running(command: Sequence[str | Path], log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Run a process as long as the context lasts; its output goes to `log`."""
    with log.open("w") as file:
        process = subprocess.Popen(list(map(str, command)), stdout=file, stderr=file, env=environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens, and that this machine gives to nobody else meanwhile."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    port: int = held.getsockname()[1]
    return port


def eventually(check: Callable[[], bool], log: Path, seconds: float = 600) -> None:
    """Poll until `check` is true; fail with the end of the process's log."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
