"""Random request bodies against a server in a memory limit as small as a pod's: it stays, and its probes answer."""

import contextlib
import gzip
import http.client
import itertools
import json
import os
import random
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support import plain_http
from tests.support.memory_group import memory_group
from tests.support.onnx_models import wide_model
from tests.support.server import Server, serve

LIMIT = 512 * 1024**2
MOST = 16 * 1024**2
INFER = "/v2/models/digits/infer"
# A kubelet waits so long for an answer.
PROBE_SECONDS = 1.0
ALLOWED = {200, 400, 404, 405, 413, 415, 422, 431, 503}
Sent = tuple[bytes, dict[str, str]]


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Server]:
    """A server whose control group has a pod's memory limit."""
    with memory_group(LIMIT) as join, serve(tmp_path, wide_model(), join) as server:
        yield server


def request(data: Any, shape: Any, **changes: Any) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": data} | changes]}).encode()


def around(data: bytes, shape: Any) -> bytes:
    return request("@", shape).replace(b'"@"', data)


def valid(chance: random.Random) -> Sent:
    rows = chance.choice([1, 2, 7, 64, 1000, 20_000, 60_000])
    number = chance.choice([b"1", b"0.5", b"-1.25e-3", b"123456.78125"])
    flat = b",".join([number] * (16 * rows))
    nested = b"[" + b",".join([b"[" + b",".join([number] * 16) + b"]"] * rows) + b"]"
    return around(chance.choice([b"[" + flat + b"]", nested]), [rows, 16])[:MOST], {}


def nesting(chance: random.Random) -> Sent:
    unit = chance.choice([b"[],", b"[7],", b"{},", b'"",', b'{"a":1},', b"null,", b"[[[]]],", b'{"data":[]},', b"1e5,"])
    count = chance.choice([10, 1000, 100_000, (MOST - 200) // len(unit)])
    return around(b"[" + unit * count + b"0]", [count, 16]), {}


def deep(chance: random.Random) -> Sent:
    depth = chance.choice([16, 1000, 100_000, 5_000_000])
    left, right = chance.choice([(b"[", b"]"), (b'{"data":', b"}"), (b"[", b"")])
    return around((left * depth + b"1" + right * depth)[: MOST - 200], [1, 16]), {}


def shapes(chance: random.Random) -> Sent:
    sizes = [0, -1, 10**30, 2**63, 2**31, 1.5, None, "1", [1], True, 1, 16]
    shape = [chance.choice(sizes) for _ in range(chance.randint(0, 3))]
    return request([1.0] * chance.choice([0, 1, 16, 160]), chance.choice([shape, 16, None, {}])), {}


def kinds(chance: random.Random) -> Sent:
    value = chance.choice([True, None, "1", 2**64, 10**40, -(2**63), 1e39, {"a": 1}, [1]])
    kind = chance.choice(["FP32", "FP64", "BYTES", "INT64", "", None, 7])
    return request([value] * 16 * chance.choice([1, 3000]), [1, 16], datatype=kind), {}


def binary(chance: random.Random) -> Sent:
    rows = chance.choice([1, 100, 10_000, 260_000])
    data = np.full((rows, 16), chance.choice([1.0, np.nan, np.inf, 1e38]), np.float32).tobytes()
    size = len(data) + chance.choice([0, 0, 0, 1, -4, 10**18])
    head = json.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [rows, 16], "parameters": {"binary_data_size": size}}
            ],
            "parameters": {"binary_data_output": chance.choice([True, False, 1])},
        }
    ).encode()
    length = chance.choice([str(len(head)), str(len(head)), str(len(head) + 5), "0", "-1", "9" * 30, "x"])
    return (head + data)[: len(head + data) - chance.choice([0, 0, 7])], {"inference-header-content-length": length}


def packed(chance: random.Random) -> Sent:
    body = chance.choice([valid(chance)[0], b" " * 200_000_000, nesting(chance)[0]])
    encoding = chance.choice(["gzip", "deflate", "br", "gzip, gzip"])
    content = gzip.compress(body, 1) if encoding.startswith("gzip") else zlib.compress(body, 1)
    return content[: len(content) - chance.choice([0, 0, 3])][:MOST], {"content-encoding": encoding}


def noise(chance: random.Random) -> Sent:
    size = chance.choice([0, 1, 100, 100_000, MOST, MOST + 1])
    return chance.choice(
        [chance.randbytes(size), b'"data":[' * (size // 8), b'"data":' * (size // 7), b"\xff" * size]
    ), {}


MAKERS: list[Callable[[random.Random], Sent]] = [valid, nesting, deep, shapes, kinds, binary, packed, noise]


def post(port: int, chance: random.Random) -> int | None:
    """Send one random request; return its status, None when the connection was cut."""
    body, headers = chance.choice(MAKERS)(chance)
    how = chance.randrange(10)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        if how == 0:
            # The client goes away in the middle, or says a wrong length.
            connection.putrequest("POST", INFER)
            connection.putheader("content-length", str(len(body) + chance.choice([1, 1000])))
            connection.endheaders(body)
            return None
        if how == 1:
            pieces = [body[start : start + 100_000] for start in range(0, len(body), 100_000)]
            connection.request("POST", INFER, iter(pieces), headers, encode_chunked=True)
        elif how == 2:
            connection.request(chance.choice(["PUT", "OPTIONS", "GET"]), INFER, body, headers)
        else:
            connection.request("POST", INFER, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (ConnectionError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def broken_http(port: int, chance: random.Random) -> None:
    """Send what is no HTTP, or half of it."""
    head = b"POST " + INFER.encode() + b" HTTP/1.1\r\nhost: x\r\n"
    texts = [
        head + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        head + b"content-length: 99999999999999999999\r\n\r\n{}",
        head + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
        head + b"x: " + b"a" * 1_000_000,
        b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n" * 50,
        chance.randbytes(1000),
    ]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.settimeout(0.5)
        client.sendall(chance.choice(texts))
        client.recv(65536)


def processor_seconds(server: Server) -> float:
    """Return the processor time that the server has had: on a busy machine it gets less of it in a second."""
    values = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def probe(server: Server, stop: threading.Event, failures: list[list[str]]) -> None:
    while not stop.wait(0.5):
        wrong = []
        for path in ("/v2/health/live", "/v2/health/ready"):
            before = processor_seconds(server)
            try:
                status = plain_http.get(server.url + path).status_code
            except httpx.HTTPError as error:
                wrong.append(f"{path}: {error!r}")
                continue
            spent = processor_seconds(server) - before
            if status != 200 or spent > PROBE_SECONDS:
                wrong.append(f"{path}: {status}, after {spent:.1f} s of work on something else")
        failures.append(wrong)


def bombard(server: Server, count: int, seed: int) -> tuple[Counter[int | None], list[list[str]]]:
    """Send `count` random requests from three clients at a time; return the statuses and each probe's failures."""
    port, stop, failures = int(server.url.rsplit(":", 1)[1]), threading.Event(), list[list[str]]()
    statuses: Counter[int | None] = Counter()
    numbers = iter(range(count))

    def client() -> None:
        for number in numbers:
            chance = random.Random(seed + number)  # noqa: S311
            if chance.randrange(20) == 0:
                broken_http(port, chance)
            else:
                statuses[post(port, chance)] += 1

    probes = threading.Thread(target=probe, args=(server, stop, failures))
    clients = [threading.Thread(target=client) for _ in range(3)]
    for thread in (probes, *clients):
        thread.start()
    for thread in clients:
        thread.join()
    stop.set()
    probes.join()
    return statuses, failures


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_no_body_ends_the_server_or_keeps_its_probes_waiting(bounded: Server, count: int) -> None:
    statuses, failures = bombard(bounded, count, seed=11)
    assert bounded.process.poll() is None, f"the server ended: {statuses}"
    assert set(statuses) - {None} <= ALLOWED, statuses
    assert statuses[200] > count / 20, statuses
    twice = [pair for pair in itertools.pairwise(failures) if all(pair)]
    assert not twice, twice
    answer = plain_http.post(bounded.url + INFER, content=request([1.0] * 16, [1, 16]))
    assert answer.status_code == 200, answer.text
