"""A client as fast as its core: prepared requests on connections that stay open, answers counted by their length.

`python benchmarks/server_load.py` reads what to ask as JSON from standard input, and prints what it saw as JSON.
"""

import contextlib
import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_RECEIVE_BYTES = 256 * 1024
_LENGTH = b"content-length: "


@dataclass
class _Connection:
    """A connection with one request under way: what is left to send, what has come of the answer, and since when."""

    socket: socket.socket
    left: memoryview = field(default_factory=lambda: memoryview(b""))
    came: int = 0
    wanted: int = 0
    head: bytes = b""
    since: int = 0
    waits: bool = False


class Client:
    """Keeps `connections` requests under way at a time."""

    def __init__(self, port: int, request: bytes, connections: int) -> None:
        """Connect, and ask nothing yet."""
        self.durations: list[int] = []
        self._request = memoryview(request)
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port), timeout=20)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
            self._open[one.fileno()] = _Connection(one)
            self._poll.register(one.fileno(), select.EPOLLIN)

    def ask(self, seconds: float) -> None:
        """Ask for so long, then wait for what is under way; durations in nanoseconds are in `durations`."""
        end = time.perf_counter() + seconds
        for connection in self._open.values():
            self._send(connection)
        under_way = len(self._open)
        while under_way:
            asking = time.perf_counter() < end
            for number, event in self._poll.poll():
                connection = self._open[number]
                if event & select.EPOLLOUT:
                    self._write(connection)
                if event & ~select.EPOLLOUT and self._answered(connection):
                    self.durations.append(time.perf_counter_ns() - connection.since)
                    if asking:
                        self._send(connection)
                    else:
                        under_way -= 1

    def close(self) -> None:
        """Close all connections."""
        for connection in self._open.values():
            connection.socket.close()
        self._poll.close()

    def _send(self, connection: _Connection) -> None:
        connection.since, connection.left = time.perf_counter_ns(), self._request
        connection.came = connection.wanted = 0
        connection.head = b""
        self._write(connection)

    def _write(self, connection: _Connection) -> None:
        with contextlib.suppress(BlockingIOError):
            connection.left = connection.left[connection.socket.send(connection.left) :]
        if connection.waits != bool(connection.left):
            connection.waits = bool(connection.left)
            also = select.EPOLLOUT if connection.waits else 0
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN | also)

    def _answered(self, connection: _Connection) -> bool:
        """Take what has come; return whether the answer is whole. Raises ValueError unless it is 200."""
        try:
            data = connection.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            raise ValueError("the server has closed a connection")
        connection.came += len(data)
        if not connection.wanted:
            connection.head += data
            end = connection.head.find(b"\r\n\r\n")
            if end == -1:
                return False
            if not connection.head.startswith(b"HTTP/1.1 200"):
                raise ValueError(connection.head.decode("latin-1"))
            start = connection.head.lower().index(_LENGTH) + len(_LENGTH)
            connection.wanted = end + 4 + int(connection.head[start : connection.head.index(b"\r\n", start)])
        return connection.came >= connection.wanted


def cpu_seconds(process: int) -> float:
    """Return the processor time that all threads of a process have had, in seconds."""
    spent = 0
    for file in Path(f"/proc/{process}/task").glob("*/schedstat"):
        spent += int(file.read_text().split()[0])
    return spent / 1e9


def percentile(ordered: Sequence[int], part: float) -> float:
    """Return the value below which `part` of the ordered values are."""
    return float(ordered[min(len(ordered) - 1, int(part * len(ordered)))])


def measure(port: int, process: int, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Return requests per second, CPU of the server per request, and how long requests took, in microseconds."""
    client = Client(port, request, connections)
    client.ask(seconds / 5)
    client.durations.clear()
    before, began = cpu_seconds(process), time.perf_counter()
    client.ask(seconds)
    lasted, spent = time.perf_counter() - began, cpu_seconds(process) - before
    client.close()
    durations = sorted(client.durations)
    return {
        "requests per second": len(durations) / lasted,
        "CPU microseconds": 1e6 * spent / len(durations),
        "p50 microseconds": percentile(durations, 0.5) / 1000,
        "p99 microseconds": percentile(durations, 0.99) / 1000,
    }


def main() -> None:
    """Measure as standard input says."""
    given = json.load(sys.stdin)
    given["request"] = given["request"].encode("latin-1")
    print(json.dumps(measure(**given)))


if __name__ == "__main__":
    main()
