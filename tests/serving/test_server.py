"""The server as a process: answers, log lines, refusal to start, drain."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import plain_http
from tests.support.onnx_models import digest_of, doubling_model, tensor
from tests.support.server import RELEASE, Server, environment, wait_until_closed

MODEL = "/v2/models/digits"


def infer(server: Server, rows: list[list[float]], path: str = MODEL, **options: Any) -> httpx.Response:
    return plain_http.post(f"{server.url}{path}/infer", json={"inputs": [tensor(rows)]}, **options)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        (f"{MODEL}/ready", {"name": "digits", "ready": True}),
        (f"{MODEL}/versions/{RELEASE}/ready", {"name": "digits", "ready": True}),
    ],
)
def test_health(server: Server, path: str, wanted: dict[str, Any]) -> None:
    response = plain_http.get(server.url + path)
    assert (response.status_code, response.json()) == (200, wanted)
    assert response.headers["x-stellwerk-release"] == RELEASE
    assert "connection" not in response.headers


def test_metadata(server: Server) -> None:
    assert plain_http.get(f"{server.url}/v2").json()["name"] == "stellwerk-onnx"
    metadata = plain_http.get(server.url + MODEL).json()
    assert metadata == plain_http.get(f"{server.url}{MODEL}/versions/{RELEASE}").json()
    assert (metadata["name"], metadata["versions"]) == ("digits", [RELEASE])
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 3]}]


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/{RELEASE}"])
def test_an_inference(server: Server, path: str) -> None:
    response = infer(server, [[1, 2, 3], [3, 2, 1.5]], path)
    assert response.status_code == 200
    answer = response.json()
    assert uuid.UUID(response.headers["x-request-id"]).version == 4
    assert answer == {
        "model_name": "digits",
        "model_version": RELEASE,
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [2, 4, 6, 6, 4, 3]},
            {"name": "best", "datatype": "INT64", "shape": [2], "data": [2, 0]},
        ],
    }


def test_the_id_of_the_body_and_the_id_of_the_header_are_two(server: Server) -> None:
    document = {"id": "of-the-body", "inputs": [tensor([[1, 2, 3]])]}
    response = plain_http.post(f"{server.url}{MODEL}/infer", json=document, headers={"x-request-id": "of-the-header"})
    assert (response.json()["id"], response.headers["x-request-id"]) == ("of-the-body", "of-the-header")
    (line,) = server.inferences("of-the-header")
    assert line["stellwerk.inference_id"] == "of-the-body"
    assert uuid.UUID(plain_http.post(f"{server.url}{MODEL}/infer", json=document).headers["x-request-id"]).version == 4


def test_a_large_batch_runs_beside_the_probes(server: Server) -> None:
    rows = [[float(index), 0.0, 1.0] for index in range(20_000)]
    scores, best = infer(server, rows).json()["outputs"]
    assert scores["shape"] == [20_000, 3]
    assert scores["data"][-3:] == [39_998.0, 0.0, 2.0]
    assert best["data"][:3] == [2, 0, 0]


def test_one_ecs_line_for_each_inference(server: Server) -> None:
    began = time.perf_counter_ns()
    infer(server, [[1, 2, 3], [1, 2, 3]], headers={"x-request-id": "logged"})
    lasted = time.perf_counter_ns() - began
    (line,) = server.inferences("logged")
    assert 0 < line.pop("event.duration") < lasted
    assert line.pop("@timestamp").endswith("Z")
    assert line == {
        "log.level": "info",
        "message": "inference",
        "service.name": "serving",
        "service.environment": "test",
        "http.request.id": "logged",
        "http.response.status_code": 200,
        "stellwerk.model": "digits",
        "stellwerk.release": RELEASE,
        "stellwerk.run_id": "run-1",
        "stellwerk.rows": 2,
    }


def test_a_bad_request_is_answered_and_logged(server: Server) -> None:
    document = {"inputs": [tensor([[1, 2, 3]], datatype="INT8")]}
    response = plain_http.post(f"{server.url}{MODEL}/infer", json=document, headers={"x-request-id": "bad"})
    message = "input 'pixels': expected datatype FP32, got 'INT8'"
    assert (response.status_code, response.json()) == (400, {"error": message})
    assert response.headers["x-request-id"] == "bad"
    (line,) = server.inferences("bad")
    assert (line["log.level"], line["http.response.status_code"], line["error.message"]) == ("warn", 400, message)


def test_a_header_id_that_is_too_long_is_refused(server: Server) -> None:
    response = infer(server, [[1, 2, 3]], headers={"x-request-id": "a" * 129})
    assert (response.status_code, response.json()["error"][:20]) == (400, "header x-request-id:")


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    response = plain_http.post(f"{server.url}{MODEL}/infer", content=b" " * 1_000_001)
    assert response.status_code == 413
    assert "larger than 1000000 bytes" in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/models/letters", 404),
        ("POST", f"{MODEL}/versions/v9-00000000/infer", 404),
        ("GET", f"{MODEL}/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("HEAD", "/v2/health/live", 200),
    ],
)
def test_other_paths_and_methods(server: Server, method: str, path: str, status: int) -> None:
    response = plain_http.request(method, server.url + path)
    assert response.status_code == status
    if status >= 400:
        assert path in response.json()["error"]


def test_finite_values_that_become_infinite_are_the_clients_fault(server: Server) -> None:
    response = infer(server, [[1, 2, 3], [3.4e38, 3.4e38, 3.4e38]])
    assert response.status_code == 422
    assert "output 'scores' has values that are not finite, in row 1 of 2" in response.json()["error"]


def test_values_that_are_not_finite_can_be_null(start: Callable[..., Server]) -> None:
    response = infer(start(NONFINITE_OUTPUTS="null"), [[1, 2, 3], [1, 2, 3.4e38]])
    assert response.json()["outputs"][0]["data"] == [2, 4, 6, 2, 4, None]


def start_refused(path: Path, **changes: str) -> str:
    """Return the one line of a server that does not start."""
    result = subprocess.run(
        [sys.executable, "-m", "serving"], env=environment(path, **changes), capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (1, "")
    (line,) = result.stdout.splitlines()
    message: str = json.loads(line)["message"]
    return message


def test_a_wrong_digest_is_not_served(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(doubling_model() + b"\0")
    actual, wanted = digest_of(path.read_bytes()), digest_of(doubling_model())
    assert start_refused(path) == f"{path} has digest {actual}, expected {wanted}; it is not served"


def test_a_setting_that_is_not_allowed_is_named(tmp_path: Path) -> None:
    message = start_refused(tmp_path / "model.onnx", MODEL_DIGEST="3f2a")
    assert message == "environment: MODEL_DIGEST is '3f2a'; expected sha256: and 64 hexadecimal digits"


def test_after_sigterm_no_request_fails_and_each_connection_is_closed(start: Callable[..., Server]) -> None:
    server = start(DRAIN_SECONDS="3")
    stop, answers = threading.Event(), list[tuple[float, int, str | None]]()

    def closing() -> int:
        return sum(connection == "close" for _, _, connection in answers)

    def ask() -> None:
        with plain_http.client() as client:
            while not stop.is_set():
                response = client.post(f"{server.url}{MODEL}/infer", json={"inputs": [tensor([[1, 2, 3]])]})
                answers.append((time.monotonic(), response.status_code, response.headers.get("connection")))

    client = threading.Thread(target=ask)
    client.start()
    while not answers and client.is_alive():
        time.sleep(0.01)
    signalled = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    # The signal has arrived once an answer says so.
    while closing() < 3 and client.is_alive():
        time.sleep(0.01)
    stop.set()
    client.join()
    assert server.process.wait() == 0
    assert time.monotonic() - signalled >= 3
    assert {status for _, status, _ in answers} == {200}
    assert {connection for moment, _, connection in answers if moment < signalled} == {None}
    assert closing() >= 3 and {connection for _, _, connection in answers[-closing() :]} == {"close"}
    assert server.lines()[-1]["message"] == "drained"


def test_a_request_under_way_when_the_drain_ends_is_answered(start: Callable[..., Server]) -> None:
    server = start(DRAIN_SECONDS="0")
    body = json.dumps({"inputs": [tensor([[1, 2, 3]])]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    connection.putrequest("POST", f"{MODEL}/infer")
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body[:10])
    # Who came later is answered: the server has this request's beginning.
    assert plain_http.get(f"{server.url}/v2/health/live").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    wait_until_closed(server)
    connection.send(body[10:])
    response = connection.getresponse()
    assert (response.status, response.headers["connection"]) == (200, "close")
    assert server.process.wait() == 0
