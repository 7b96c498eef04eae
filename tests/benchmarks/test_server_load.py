"""The client of the server's benchmark, against a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.server_load import Client, measure
from tests.support.onnx_models import tensor
from tests.support.server import Server, serve


# Its lines come some milliseconds later: those of another test would be counted.
@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path) as running:
        yield running


def port(server: Server) -> int:
    return int(server.url.rsplit(":", 1)[1])


def request(rows: int, path: str = "/v2/models/digits/infer") -> bytes:
    body = json.dumps({"inputs": [tensor([[1.0, 2.0, 3.0]] * rows)]}).encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("rows", [1, 50_000])
def test_every_request_that_is_sent_is_answered_and_counted(server: Server, rows: int) -> None:
    client = Client(port(server), request(rows), 3)
    client.ask(0.3)
    client.close()
    assert len(client.durations) >= 3
    counted: list[int] = []
    while len(counted) < len(client.durations):
        counted = [line["stellwerk.rows"] for line in server.lines() if "stellwerk.rows" in line]
    assert counted == [rows] * len(client.durations)


def test_what_is_measured_has_all_figures(server: Server) -> None:
    sample = measure(port(server), server.process.pid, request(1), 2, 0.3)
    assert list(sample) == ["requests per second", "CPU microseconds", "p50 microseconds", "p99 microseconds"]
    assert min(sample.values()) > 0


def test_an_answer_that_is_no_success_ends_the_measurement(server: Server) -> None:
    client = Client(port(server), request(1, "/v2/models/letters/infer"), 1)
    with pytest.raises(ValueError, match="404"):
        client.ask(0.1)
