"""How `stellwerk status` asks: many models at a time, and not all of a thousand at once."""

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

import pytest

from delivery.clients.endpoint import RELEASE_HEADER, Endpoint
from delivery.operations import status
from delivery.operations.status import ASKED_AT_ONCE, answers

FIRST = "v1-0a1b2c3d"
# Seconds: on a busy machine it takes a while until so many threads have asked.
PATIENCE = 60.0


class SlowServer(ThreadingHTTPServer):
    """Answers nobody before `wanted` ask at the same time; knows how many did at most."""

    request_queue_size = 1000
    daemon_threads = True

    def __init__(self, wanted: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wanted, self.asking, self.most = wanted, 0, 0
        self.lock, self.enough = Lock(), Event()

    def begin(self) -> None:
        with self.lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
            if self.asking >= self.wanted:
                self.enough.set()
        self.enough.wait(PATIENCE)

    def end(self) -> None:
        with self.lock:
            self.asking -= 1


class Handler(BaseHTTPRequestHandler):
    server: SlowServer

    def do_GET(self) -> None:
        self.server.begin()
        self.server.end()
        self.send_response(503 if "silent" in self.path else 200)
        self.send_header(RELEASE_HEADER, FIRST)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[SlowServer]:
    with SlowServer(ASKED_AT_ONCE) as made:
        thread = Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_many_models_are_asked_at_a_time_and_no_more_than_that(
    server: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "ANSWER_SECONDS", PATIENCE)
    trust, url = ssl.create_default_context(), f"http://127.0.0.1:{server.server_port}"
    names = [f"{kind}-{number}" for number in range(ASKED_AT_ONCE) for kind in ("model", "silent")]
    given = answers({name: Endpoint(f"{url}/v2/models/{name}", trust) for name in names})
    assert given == {name: None if name.startswith("silent") else FIRST for name in names}
    assert server.most == ASKED_AT_ONCE
    assert server.enough.is_set()
