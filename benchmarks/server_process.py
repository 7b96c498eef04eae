"""A server under measurement: a process with a core of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks.errors import BenchmarkError
from benchmarks.measure import of_checkout
from tests.support.onnx_models import digest_of

_READY_SECONDS = 60.0
_READY = b"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Side:
    """How a server is called and started; its port follows its command, or is in the variable PORT."""

    name: str
    command: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_checkout(cls, name: str, folder: Path, model: Path) -> "Side":
        """Return this project's server as the checkout in `folder` has it."""
        return cls(
            name,
            [sys.executable, "-m", "serving"],
            of_checkout(folder, {})
            | {
                "MODEL_NAME": "digits",
                "MODEL_PATH": str(model),
                "MODEL_DIGEST": digest_of(model.read_bytes()),
                "RELEASE": "v1-0a1b2c3d",
                "RUN_ID": "run-1",
                "ENVIRONMENT": "bench",
                "DRAIN_SECONDS": "0",
            },
        )


@dataclass
class Running:
    """A server that answers, and how long it took to get there."""

    side: Side
    process: subprocess.Popen[bytes]
    port: int
    ready_seconds: float

    def resident_mib(self) -> float:
        """Return the memory of the process that is in use now, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def start(side: Side, core: int) -> Iterator[Running]:
    """Run the server on `core` until the block ends; raises BenchmarkError with its output when it does not answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = ["taskset", "-c", str(core), *side.command, *([] if side.env else [str(port)])]
    env = {"PATH": os.environ["PATH"], "PORT": str(port), **side.env}
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryDirectory() as empty:
        began = time.monotonic()
        # Only what PYTHONPATH says is the checkout: the folder it is started in is none.
        process = subprocess.Popen(command, cwd=empty, env=env, stdout=printed, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(process, port, printed)
            yield Running(side, process, port, time.monotonic() - began)
        finally:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, printed: IO[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ask(port, _READY)
        except (OSError, BenchmarkError):
            time.sleep(0.005)
        else:
            return
    printed.seek(0)
    raise BenchmarkError(f"a server does not answer:\n{printed.read()[-2000:].decode(errors='replace')}")


def ask(port: int, request: bytes) -> bytes:
    """Return the body of the answer to one request; raises BenchmarkError unless it is 200, and OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(request)
        answer = client.makefile("rb")
        status = answer.readline()
        size = 0
        while line := answer.readline().strip().lower():
            if line.startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        body = answer.read(size)
    if b" 200 " not in status:
        raise BenchmarkError(f"answered {status.decode('latin-1').strip()}: {body[:500].decode(errors='replace')}")
    return body
