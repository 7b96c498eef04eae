"""A tiny ONNX model, and the server as a process of its own."""

import hashlib
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
import numpy as np
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
RELEASE = "v1-0a1b2c3d"


def doubling_model() -> bytes:
    """Return a model of one input `pixels` FP32 [rows, 3] and two outputs: `scores`, twice the input, and `best`."""
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["pixels", "two"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        ],
        "doubling",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 3]),
            helper.make_tensor_value_info("best", TensorProto.INT64, ["rows"]),
        ],
        [numpy_helper.from_array(np.array(2, np.float32), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def sum_model() -> bytes:
    """Return a model that adds `left` and `right` (INT32 [n]) where `keep` (UINT8 [n]) is not `drop` (BOOL [n])."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["keep"], ["kept"], to=TensorProto.BOOL),
            helper.make_node("Xor", ["kept", "drop"], ["wanted"]),
            helper.make_node("Cast", ["wanted"], ["factor"], to=TensorProto.INT32),
            helper.make_node("Add", ["left", "right"], ["all"]),
            helper.make_node("Mul", ["all", "factor"], ["sum"]),
        ],
        "sum",
        [
            value("left", TensorProto.INT32, ["n"]),
            value("right", TensorProto.INT32, ["n"]),
            value("keep", TensorProto.UINT8, ["n"]),
            value("drop", TensorProto.BOOL, ["n"]),
        ],
        [value("sum", TensorProto.INT32, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def onnx_model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
) -> bytes:
    """Return the file of a model."""
    graph = helper.make_graph(nodes, "model", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def copy_model(kind: int, shape: Sequence[str | int] = ("n",)) -> bytes:
    """Return a model whose output `same` is its input `given`, of an ONNX type."""
    value = helper.make_tensor_value_info
    return onnx_model(
        [helper.make_node("Identity", ["given"], ["same"])], [value("given", kind, shape)], [value("same", kind, shape)]
    )


def wide_model(width: int = 256) -> bytes:
    """Return a model of one input `x` FP32 [n, 16] that computes `width` values per row, and returns one: `y`."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["y"], axes=[1], keepdims=0),
    ]
    weights = numpy_helper.from_array(np.full((16, width), 0.01, np.float32), "w")
    return onnx_model(
        nodes, [value("x", TensorProto.FLOAT, ["n", 16])], [value("y", TensorProto.FLOAT, ["n"])], [weights]
    )


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tensor(rows: list[list[float]], **changes: Any) -> dict[str, Any]:
    """Return the input `pixels` of the doubling model, with changes."""
    data = [value for row in rows for value in row]
    return {"name": "pixels", "datatype": "FP32", "shape": [len(rows), 3], "data": data} | changes


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def inferences(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines of a request; the line is written after the response, so it is waited for."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = [line for line in self.lines() if line.get("http.request.id") == request_id]
            if found:
                return found
            time.sleep(0.01)
        return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
    deadline = time.monotonic() + 20
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{server.url}/v2/health/ready").status_code == 200:
                return
        except httpx.ConnectError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not get ready:\n{server.log.read_text()}")


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
