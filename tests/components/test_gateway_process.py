"""The gateway as a process: routes that change under it, its end under load, and what it refuses."""

import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import httpx
import pytest

from components.gateway.traefik import RouteArgs
from tests.support.gateway import LIMITS, Backend, Gateway, NodeProxy, until
from tests.support.tools import tool

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
INFER = "/v2/models/digits/infer"
Start = Callable[[Sequence[str]], Gateway]


@pytest.fixture(scope="module")
def binary() -> Path:
    return tool("traefik")


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.close()


@pytest.fixture
def start(binary: Path, backend: Backend, tmp_path: Path) -> Iterator[Start]:
    """Starts gateways with routes to the backend."""
    started: list[Gateway] = []

    def gateway(models: Sequence[str]) -> Gateway:
        started.append(Gateway(binary, tmp_path / str(len(started)), models, backend.url))
        started[-1].wait_until_ready()
        return started[-1]

    yield gateway
    for one in started:
        one.stop()


def test_routes_change_under_load_without_a_restart(start: Start) -> None:
    gateway = start(["digits"])
    stop, statuses = threading.Event(), set()

    def load() -> None:
        with gateway.client() as client:
            while not stop.is_set():
                statuses.add(client.post(INFER, content=b"{}").status_code)

    def status(model: str) -> int:
        with gateway.client() as client:
            return client.get(f"/v2/models/{model}").status_code

    with ThreadPoolExecutor() as pool:
        loading = pool.submit(load)
        try:
            gateway.publish(["digits", "letters"])
            until(lambda: status("letters") == 200, gateway)
            gateway.publish(["digits", "letters", "iris"])
            until(lambda: status("iris") == 200, gateway)
            gateway.publish(["digits", "iris"])
            until(lambda: status("letters") == 404, gateway)
        finally:
            stop.set()
        loading.result()
    assert statuses == {200}
    assert gateway.process.poll() is None


def test_a_broken_file_of_routes_changes_nothing(start: Start, tmp_path: Path) -> None:
    gateway = start(["digits"])
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "routes.yaml").write_text("{")
    # With its content, in one step: the folder itself is watched, what is written below it later is not.
    broken.rename(tmp_path / "0" / "routes" / "..broken")
    until(lambda: "routes.yaml" in gateway.log, gateway)
    with gateway.client() as client:
        assert client.post(INFER, content=b"{}").status_code == 200


def test_without_routes_it_is_not_ready_and_alive(binary: Path, backend: Backend, tmp_path: Path) -> None:
    gateway = Gateway(binary, tmp_path / "gateway", ["digits"], backend.url)
    try:
        gateway.wait_until_ready()
        link = tmp_path / "gateway" / "routes" / "..data"
        (tmp_path / "gateway" / "routes" / link.readlink() / "current" / "routes.yaml").unlink()
        (tmp_path / "gateway" / "routes" / "anything").touch()
        until(lambda: gateway.ready() == 404, gateway)
        assert gateway.alive() == 200, "to start it again would bring it no routes"
    finally:
        gateway.stop()


@pytest.mark.long
def test_no_request_is_lost_when_a_gateway_ends(start: Start) -> None:
    """The nodes learn of it a second later; clients keep their connections."""
    first, second = start(["digits"]), start(["digits"])
    proxy = NodeProxy([first.port, second.port])
    stop, failures, answered = threading.Event(), [], [0]

    def load() -> None:
        with first.client(proxy.port) as client:
            client._transport = httpx.HTTPTransport(verify=_trusting_nobody())
            while not stop.wait(0.02):
                try:
                    status = client.post(INFER, content=b"{}").status_code
                    answered[0] += 1
                    if status != 200:
                        failures.append(str(status))
                except httpx.HTTPError as error:
                    failures.append(repr(error))

    with ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        try:
            until(lambda: answered[0] > 100 and all(proxy.taken.values()), first)
            first.process.send_signal(signal.SIGTERM)
            until(lambda: first.ready() in (0, 503), first)
            time.sleep(1)
            proxy.targets = [second.port]
            assert first.process.wait() == 0
            until(lambda: answered[0] > 200, second)
        finally:
            stop.set()
        for one in loads:
            one.result()
    proxy.close()
    assert failures == []


def _trusting_nobody() -> ssl.SSLContext:
    """Two gateways of this test, two certificates."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_request_whose_pod_breaks_off_is_asked_again_once(start: Start, backend: Backend) -> None:
    gateway = start(["digits"])
    with gateway.client() as client:
        backend.to_break = 1
        assert client.post(INFER, content=b"x" * 500_000).status_code == 200
        assert backend.requests == 2
        backend.to_break = 10
        assert client.post(INFER, content=b"{}").status_code == 502
    assert backend.requests == 4


def test_a_large_body_is_refused(start: Start, backend: Backend) -> None:
    gateway, limit = start(["digits"]), LIMITS["max_body_bytes"]
    with gateway.client() as client:
        assert client.post(INFER, content=b"x" * limit).status_code == 200
        refused = client.post(INFER, content=b"x" * (limit + 1))
        chunks = client.post(INFER, content=iter([b"x" * 65536] * (limit // 65536) + [b"x"]))
    assert (refused.status_code, refused.text) == (413, "Request Entity Too Large")
    assert chunks.status_code == 413
    assert backend.requests == 1


def test_many_requests_at_a_time_are_refused_whatever_they_call_themselves(start: Start, backend: Backend) -> None:
    gateway, amount = start(["digits", "letters"]), LIMITS["in_flight"]
    backend.go_on.clear()

    def ask(number: int) -> int:
        names = {"host": f"name-{number}", "x-stellwerk-route": str(number)}
        with gateway.client() as client:
            return client.post(INFER, content=b"{}", headers=names).status_code

    with ThreadPoolExecutor(amount) as pool:
        waiting = [pool.submit(ask, number) for number in range(amount)]
        until(lambda: backend.requests == amount, gateway)
        assert ask(100) == 429
        backend.go_on.set()
        with gateway.client() as client:
            assert client.get("/v2/models/letters").status_code == 200
        assert [one.result() for one in waiting] == [200] * amount
    assert ask(101) == 200


def test_a_client_that_floods_is_slowed_down(binary: Path, backend: Backend, tmp_path: Path) -> None:
    gateway = Gateway(binary, tmp_path / "gateway", ["digits"], backend.url, {**LIMITS, "requests_per_second": 1})
    try:
        gateway.wait_until_ready()
        with gateway.client() as client:
            answers = [client.get("/v2/models/digits") for _ in range(20)]
    finally:
        gateway.stop()
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


def test_a_page_asks_for_its_login_and_models_for_none(binary: Path, backend: Backend, tmp_path: Path) -> None:
    line = f"tensorboard:{bcrypt.hashpw(b'word', bcrypt.gensalt(5)).decode()}\n"
    page: RouteArgs = {"name": "page.board", "path_prefix": "/board", "url": backend.url, "users": line}
    gateway = Gateway(binary, tmp_path / "gateway", ["digits"], backend.url, pages=[page])
    try:
        gateway.wait_until_ready()
        with gateway.client() as client:
            refused = [client.get("/board/", auth=login) for login in (None, ("tensorboard", "else"), ("", ""))]
            assert [answer.status_code for answer in refused] == [401] * 3
            assert backend.requests == 0
            for path in ("/board", "/board/", "/board/data/runs"):
                answer = client.get(path, auth=("tensorboard", "word"))
                assert (answer.status_code, answer.text) == (200, path)
            assert "authorization" not in backend.headers, "the page has no use for it"
            assert client.get("/boards", auth=("tensorboard", "word")).status_code == 404
            assert client.post(INFER, content=b"{}").status_code == 200
    finally:
        gateway.stop()


def test_endless_headers_are_refused(start: Start) -> None:
    gateway = start(["digits"])
    plain = socket.create_connection(("127.0.0.1", gateway.port))
    with _trusting_nobody().wrap_socket(plain) as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"x" * 100_000 + b"\r\n\r\n")
        assert secure.recv(12).startswith(b"HTTP/1.1 431")
