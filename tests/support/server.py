"""The server as a process of its own, and fixtures that start it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import plain_http
from tests.support.onnx_models import digest_of, doubling_model
from tests.support.tools import free_port

ROOT = Path(__file__).parents[2]
RELEASE = "v1-0a1b2c3d"


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        # Lines that share a write may be read when the last one is half there.
        return [json.loads(line) for line in self.log.read_text().rpartition("\n")[0].splitlines()]

    def inferences(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines of a request; the line is written after the response, so it is waited for."""
        deadline = time.monotonic() + plain_http.PATIENCE
        while time.monotonic() < deadline:
            lines = [line for line in self.lines() if line.get("http.request.id") == request_id]
            if lines:
                return lines
            time.sleep(0.01)
        return []


def environment(path: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a server of the doubling model at `path`."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "MODEL_NAME": "digits",
        "MODEL_PATH": str(path),
        "MODEL_DIGEST": digest_of(doubling_model()),
        "RELEASE": RELEASE,
        "RUN_ID": "run-1",
        "ENVIRONMENT": "test",
        "DRAIN_SECONDS": "1",
    } | changes


@contextmanager
def serve(folder: Path, content: bytes | None = None, wrapper: Sequence[str] = (), **changes: str) -> Iterator[Server]:
    """Run the server of the doubling model, or of `content`, until the block ends; waits until it is ready.

    `wrapper` is a command that runs the one that follows it.
    """
    path, log, port = folder / "model.onnx", folder / "log", free_port()
    content = content or doubling_model()
    path.write_bytes(content)
    with log.open("w") as output:
        process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "serving"],
            # Only what PYTHONPATH says is the checkout: Python would look in the folder it is started in first.
            cwd=folder,
            env=environment(path, PORT=str(port), MODEL_DIGEST=digest_of(content), **changes),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    server = Server(process, f"http://127.0.0.1:{port}", log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        process.kill()
        process.wait()


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + 100
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            if plain_http.get(f"{server.url}/v2/health/ready").status_code == 200:
                return
        except httpx.ConnectError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not get ready:\n{server.log.read_text()}")


def wait_until_closed(server: Server) -> None:
    """Wait until the server takes no connection any more, as its drain is over; those that it has go on."""
    place = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    deadline = time.monotonic() + plain_http.PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(place, plain_http.PATIENCE).close()
        except ConnectionError:
            return
        time.sleep(0.01)
    raise AssertionError(f"the server goes on taking connections:\n{server.log.read_text()}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it running."""
    with serve(tmp_path_factory.mktemp("server"), MAX_BODY_BYTES="1000000") as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers of a test's own; they are ended with the test."""
    with ExitStack() as stack:
        yield lambda content=None, **changes: stack.enter_context(serve(tmp_path, content, **changes))
