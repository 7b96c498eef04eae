"""Runs that take long, need much memory, or cannot be."""

import threading
from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.support import plain_http
from tests.support.onnx_models import onnx_model, wide_model
from tests.support.server import Server

MODEL = "/v2/models/digits"


def slow_model() -> bytes:
    """Return a model of `x` FP32 [clips, samples] whose time grows with the square of the samples."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["t", "x"], ["square"]),
        helper.make_node("MatMul", ["square", "square"], ["cube"]),
        helper.make_node("ReduceMax", ["cube"], ["y"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["clips", "samples"])]
    return onnx_model(nodes, inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])])


def probes_during_runs(server: Server, samples: int) -> int:
    """Return how many probes are answered before the first of three long requests is."""
    given = {"name": "x", "datatype": "FP32", "shape": [1, samples], "data": [0.0] * samples}
    answers: list[int] = []

    def ask() -> None:
        answers.append(plain_http.post(f"{server.url}{MODEL}/infer", json={"inputs": [given]}, timeout=60).status_code)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    during = 0
    with plain_http.client(timeout=60) as probe:
        # The connection stands before the requests come: only answers are counted.
        probe.get(f"{server.url}/v2/health/live")
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            assert probe.get(f"{server.url}/v2/health/live").status_code == 200
            during += not answers
    assert answers == [200] * 3
    return during


def test_probes_are_answered_while_one_long_row_is_computed(start: Callable[..., Server]) -> None:
    server = start(slow_model())
    # An event loop that is busy with the first request lets a few probes pass before it begins, and none until it ends.
    # A machine that is busy with something else may give this test no turn: then the next try counts.
    assert any(probes_during_runs(server, 2000) > 20 for _ in range(5))


def test_a_run_that_needs_more_memory_than_there_is_is_refused(start: Callable[..., Server]) -> None:
    server = start(wide_model(65536))
    for rows, status in ((1, 200), (10_000, 413), (1, 200)):
        given = {"name": "x", "datatype": "FP32", "shape": [rows, 16], "data": [0.5] * (16 * rows)}
        answer = plain_http.post(f"{server.url}{MODEL}/infer", json={"inputs": [given]}, timeout=60)
        assert answer.status_code == status, answer.text
    assert server.process.poll() is None


def test_sizes_that_do_not_fit_the_model_are_the_clients_fault(start: Callable[..., Server]) -> None:
    to = numpy_helper.from_array(np.array([-1, 24]), "to")
    content = onnx_model(
        [helper.make_node("Reshape", ["given", "to"], ["same"])],
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, ["m", 24])],
        [to],
    )
    server = start(content)
    assert "was not run before its first request" in server.lines()[0]["message"]
    for size, status in ((48, 200), (47, 422), (24, 200)):
        given = {"name": "given", "datatype": "FP32", "shape": [size], "data": [0.5] * size}
        answer = plain_http.post(f"{server.url}{MODEL}/infer", json={"inputs": [given]})
        assert answer.status_code == status, answer.text
