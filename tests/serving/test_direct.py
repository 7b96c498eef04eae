"""Plain requests on a connection: in pieces, one behind the other, beside others; and their log lines."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from serving.log import EcsLog
from tests.support import plain_http
from tests.support.onnx_models import tensor
from tests.support.server import Server, wait_until_closed
from tests.support.tools import eventually

PATH = "/v2/models/digits/infer"


def request(name: str, *headers: str, rows: int = 1, path: str = PATH, spaces: int = 1) -> bytes:
    separators = ("," + " " * spaces, ": ")
    body = json.dumps({"inputs": [tensor([[1.0, 2.0, 3.0]] * rows)]}, separators=separators).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"X-Request-Id: {name}", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=plain_http.PATIENCE)


def answers(client: socket.socket, count: int) -> list[tuple[int, str, int]]:
    """Return status, request id and number of rows of so many answers; -1 where there are no rows."""
    stream, seen = client.makefile("rb"), []
    for _ in range(count):
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().decode("latin-1").strip():
            name, _, value = line.partition(": ")
            headers[name] = value
        body = json.loads(stream.read(int(headers["content-length"])))
        rows = body["outputs"][0]["shape"][0] if "outputs" in body else -1
        seen.append((status, headers["x-request-id"], rows))
    return seen


@pytest.mark.parametrize("rows", [1, 30_000])
@pytest.mark.parametrize("cuts", [[], [20], [130], [20, 130, 150]])
def test_a_request_in_pieces_is_answered_once(server: Server, cuts: list[int], rows: int) -> None:
    data = request("in-pieces", rows=rows)
    with connect(server) as client:
        for _ in range(3):
            for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
                client.sendall(data[start:stop])
                time.sleep(0.01)
            assert answers(client, 1) == [(200, "in-pieces", rows)]


def test_a_request_may_be_cut_anywhere(server: Server) -> None:
    data = request("cut", rows=2)
    with connect(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(data)):
            client.sendall(data[:cut])
            time.sleep(0.001)
            client.sendall(data[cut:])
            assert answers(client, 1) == [(200, "cut", 2)], cut


def test_a_buffer_is_used_again_for_any_body_after_any(server: Server) -> None:
    long, short = request("long", rows=30_000), request("short", rows=9_000)
    wrong = long.replace(b"3.0]", b"3.x]")
    ended_within_a_number = request("ended").replace(b"3.0]", b"3.05").removesuffix(b"}]}") + b"123"
    of_another_shape = request("refused").replace(b"[1, 3]", b"[1, 4]")
    sent = [long, wrong, short, ended_within_a_number, long, of_another_shape, request("last")]
    with connect(server) as client:
        for data in sent:
            client.sendall(data[:250])
            time.sleep(0.01)
            client.sendall(data[250:])
        # What follows a body in the same piece is the next request's.
        assert [(status, rows) for status, _, rows in answers(client, len(sent))] == [
            (200, 30_000), (400, -1), (200, 9_000), (400, -1), (200, 30_000), (400, -1), (200, 1)
        ]  # fmt: skip
        for value in (4, 5):
            data = request("value").replace(b"3.0", b"%d.0" % value)
            client.sendall(data[:-9])
            time.sleep(0.01)
            client.sendall(data[-9:] + data[:-3])
            answer = client.recv(65536)
            assert answer.count(b"HTTP/1.1 200 OK") == 1
            assert b'"data":[2.0,4.0,%d.0]' % (2 * value) in answer
            client.sendall(data[-3:])
            assert answers(client, 1) == [(200, "value", 1)]


def test_a_head_behind_a_long_body_is_not_taken_for_a_long_one(server: Server) -> None:
    for rows in (6_000, 9_000, 14_000, 20_000):
        for headers in ((), ("Content-Encoding: identity",)):
            long, next_one = request("long", *headers, rows=rows), request("next")
            with connect(server) as client:
                client.sendall(long + next_one[:30])
                assert answers(client, 1) == [(200, "long", rows)]
                client.sendall(next_one[30:])
                assert answers(client, 1) == [(200, "next", 1)]


def resident_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_connections_that_rest_keep_no_memory_of_their_long_bodies(start: Callable[..., Server]) -> None:
    # Each has to be complete within a minute: a busy machine sends many spaces sooner than it answers many rows.
    server, data = start(), request("long", rows=15_000, spaces=16)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(48)]
        clients[0].sendall(data)
        assert answers(clients[0], 1) == [(200, "long", 15_000)]
        before = resident_mib(server)
        for client in clients:
            client.sendall(data[: len(data) // 2])
        eventually(lambda: resident_mib(server) > before + 8, server.log)
        for client in clients:
            client.sendall(data[len(data) // 2 :])
            assert answers(client, 1) == [(200, "long", 15_000)]
        eventually(lambda: resident_mib(server) <= before + 4, server.log)


def test_a_request_that_is_incomplete_when_the_server_ends_is_answered(start: Callable[..., Server]) -> None:
    server, data = start(DRAIN_SECONDS="0"), request("late", rows=20_000)
    with connect(server) as client:
        client.sendall(data[:100_000])
        # Who came later is answered: the server has this request's beginning.
        assert plain_http.get(f"{server.url}/v2/health/live").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        wait_until_closed(server)
        client.sendall(data[100_000:])
        assert answers(client, 1) == [(200, "late", 20_000)]
    assert server.process.wait() == 0


def test_requests_one_behind_the_other_are_answered_in_their_order(server: Server) -> None:
    sent = [
        request("a"),
        request("b", rows=20_000),
        request("c"),
        request("d", "Accept: */*", path="/v2/models/letters/infer"),
        request("e", "Content-Encoding: identity"),
        request("f", rows=2),
    ]
    with connect(server) as client:
        client.sendall(b"".join(sent))
        seen = answers(client, 6)
        assert [(status, rows) for status, _, rows in seen] == [
            (200, 1), (200, 20_000), (200, 1), (404, -1), (200, 1), (200, 2)
        ]  # fmt: skip
        assert [name for _, name, rows in seen if rows > 0] == ["a", "b", "c", "e", "f"]
        client.sendall(request("g")[:-7])
        time.sleep(0.05)
        client.sendall(request("g")[-7:] + request("h"))
        assert answers(client, 2) == [(200, "g", 1), (200, "h", 1)]


def test_incomplete_requests_of_clients_that_leave_keep_nothing(start: Callable[..., Server]) -> None:
    server = start(MAX_BODY_BYTES="16777216")
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()
    for _ in range(4):
        # All of them at once hold what there is for requests; then they are gone.
        clients = [connect(server) for _ in range(60)]
        for client in clients:
            client.sendall(head + b"{")
        time.sleep(0.1)
        for client in clients:
            client.close()
    with closing(connect(server)) as client:
        client.sendall(request("after", rows=50_000))
        assert answers(client, 1) == [(200, "after", 50_000)]


def test_a_request_that_is_complete_while_the_server_drains_ends_its_connection(start: Callable[..., Server]) -> None:
    server, data = start(DRAIN_SECONDS="60"), request("late")
    with connect(server) as client:
        client.sendall(data[:-5])
        server.process.send_signal(signal.SIGTERM)
        # The signal has arrived once another answer says so.
        answer = b""
        while b"connection: close" not in answer:
            with connect(server) as other:
                other.sendall(request("other"))
                answer = other.recv(65536)
        client.sendall(data[-5:])
        answer = b""
        while more := client.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize("drain", ["0", "1"])
def test_no_line_is_lost_when_the_server_ends(start: Callable[..., Server], drain: str) -> None:
    server = start(DRAIN_SECONDS=drain)
    with connect(server) as client:
        for number in range(200):
            client.sendall(request(f"line-{number}"))
            assert answers(client, 1)[0][0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait() == 0
    lines = [line for line in server.lines() if line["message"] == "inference"]
    assert [line["http.request.id"] for line in lines] == [f"line-{number}" for number in range(200)]
    assert server.lines()[-1]["message"] == "drained"


def test_lines_that_wait_come_before_what_is_written_at_once(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = EcsLog({"service.name": "test"})

    async def write() -> None:
        log.later("first", {"stellwerk.rows": 1})
        log.later("second", {})
        log.emit("warn", "third")
        log.later("fourth", {})
        await asyncio.sleep(0.05)
        log.later("fifth", {})

    asyncio.run(write())
    log.flush()
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["first", "second", "third", "fourth", "fifth"]
    assert lines[0]["@timestamp"] <= lines[4]["@timestamp"]
    assert lines[0]["stellwerk.rows"] == 1
