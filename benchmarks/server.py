"""`python -m benchmarks.server`: the server of a model beside the bare floor and KServe's own model server.

Each server has a core of its own, the client another one; requests on open connections, one after the other on each.
"""

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import server_load
from benchmarks.command import arguments, positive, run
from benchmarks.errors import BenchmarkError
from benchmarks.measure import BEFORE, OURS, RESULTS, ROOT, Series, facts, save
from benchmarks.report import table
from benchmarks.server_process import Running, Side, ask, start
from tests.support.onnx_models import network_model

FLOOR, KSERVE = "bare floor", "KServe's ModelServer"
WIDTH = 784
_PATH = "/v2/models/digits/infer"
_PACKAGES = ("onnxruntime", "numpy", "orjson", "uvicorn", "uvloop", "httptools", "kserve")


@dataclass(frozen=True)
class Load:
    """What clients send: so many rows in each request, from so many connections."""

    rows: int
    clients: int

    @property
    def what(self) -> str:
        """Return how the table calls it."""
        return f"{self.rows} row{'s' if self.rows > 1 else ''} of {WIDTH}, {self.clients} clients"


LOADS = (Load(1, 8), Load(1, 64), Load(85, 8))


def main() -> None:
    """Measure all servers in turn, and write the result."""
    parser = arguments("python -m benchmarks.server", __doc__, repeat=5)
    parser.add_argument("--seconds", type=positive, default=3, help="length of one measurement (default 3)")
    parser.add_argument("--before", type=Path, help="checkout of an older commit, to measure its server, too")
    parser.add_argument("--without", action="append", default=[], choices=(FLOOR, KSERVE), help="a peer to leave out")
    run(lambda: _measure(parser.parse_args()))


def _measure(given: argparse.Namespace) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("this needs two cores: one for the server, one for its clients")
    known = facts(os.environ, cluster=False)
    known["versions"] = {"python": known["versions"]["python"], **_versions()}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        model = Path(name) / "model.onnx"
        model.write_bytes(network_model(WIDTH, 64, 10))
        sides = _sides(model, given.before, given.without)
        series = {load: Series(load.what) for load in LOADS}
        begin = Series("start, and memory after the requests")
        for _ in range(given.repeat):
            _round(sides, cores, series, begin, given.seconds)
    document = save(
        given.output or RESULTS / "server.json",
        {"benchmark": "server", **known},
        [*series.values(), begin],
    )
    print(table(document))


def _round(
    sides: Sequence[Side], cores: Sequence[int], series: Mapping[Load, Series], begin: Series, seconds: int
) -> None:
    with ExitStack() as stack:
        running = [stack.enter_context(start(side, cores[0])) for side in sides]
        for load, one in series.items():
            request = _request(load)
            _compare(running, request)
            for server in running:
                one.add(server.side.name, _load(server, request, load.clients, seconds, cores[-1]))
        for server in running:
            begin.add(server.side.name, {"ready, seconds": server.ready_seconds, "resident MiB": server.resident_mib()})


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES if importlib.util.find_spec(name)}


def _sides(model: Path, before: Path | None, without: Sequence[str]) -> list[Side]:
    python = sys.executable
    sides = [Side.of_checkout(OURS, ROOT, model)]
    if before:
        sides.append(Side.of_checkout(BEFORE, before.resolve(), model))
    programs = ROOT / "benchmarks" / "programs"
    sides.append(Side(FLOOR, [python, str(programs / "floor.py"), str(model)]))
    if importlib.util.find_spec("kserve"):
        sides.append(Side(KSERVE, [python, str(programs / "kserve_server.py"), str(model)]))
    return [side for side in sides if side.name not in without]


def _request(load: Load) -> bytes:
    """Return a request as a common client writes it, its values with six digits as grey values have them."""
    chance = random.Random(load.rows)  # noqa: S311
    data = [round(chance.random(), 6) for _ in range(load.rows * WIDTH)]
    tensor = {"name": "pixels", "shape": [load.rows, WIDTH], "datatype": "FP32", "data": data}
    body = json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
        "Connection: keep-alive\r\nUser-Agent: python-httpx/0.28\r\n"
        f"X-Request-Id: 5f0c3a52-1d0e-4c0c-9a5e-0d6f4f1f9a11\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _compare(running: Sequence[Running], request: bytes) -> None:
    """Raise BenchmarkError unless all servers answer the same values."""
    answers = [json.loads(ask(server.port, request)) for server in running]
    values = [np.array(answer["outputs"][0]["data"], np.float32) for answer in answers]
    for server, array in zip(running[1:], values[1:], strict=True):
        if not np.allclose(array, values[0], atol=1e-6):
            raise BenchmarkError(f"{server.side.name} and {running[0].side.name} answer other values")


def _load(server: Running, request: bytes, clients: int, seconds: int, core: int) -> dict[str, float]:
    given = {
        "port": server.port,
        "process": server.process.pid,
        "request": request.decode("latin-1"),
        "connections": clients,
        "seconds": seconds,
    }
    command = ["taskset", "-c", str(core), sys.executable, server_load.__file__]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"the client of {server.side.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    sample: dict[str, Any] = json.loads(done.stdout)
    return sample


if __name__ == "__main__":
    main()
