"""A tracking server and a log store that run elsewhere: asked by their URL, with the login that `init` was given."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.logs import log_store
from delivery.clients.runs import tracking
from delivery.operations import authority
from delivery.operations.init import init
from delivery.project import Project
from infra.contract.errors import StellwerkError
from tests.delivery.test_init import made, secrets
from tests.support.checkout import MODEL, Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Words
from tests.support.stores import tls_server

__all__ = ["made"]


@dataclass
class Elsewhere:
    """A server that answers every request with JSON by the end of its path; `asked` are path and login."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def elsewhere(tmp_path: Path, project: Checkout) -> Iterator[Elsewhere]:
    """It has a certificate of an authority that the stack files trust."""
    server = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            server.asked.append((self.path, self.headers.get("authorization", "")))
            path = self.path.partition("?")[0]
            answers = [answer for end, answer in server.answers.items() if path.endswith(end)]
            body = json.dumps(answers[0]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    certificate, key = authority.make_authority("elsewhere")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = tls_server(authority.sign(certificate, key, ["127.0.0.1"]), tmp_path)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    server.url = f"https://127.0.0.1:{listening.server_port}"
    project.trust(certificate)
    yield server
    listening.shutdown()
    listening.server_close()


def basic(name: str, word: str) -> str:
    return f"Basic {b64encode(f'{name}:{word}'.encode()).decode()}"


def test_runs_are_asked_of_the_server_that_runs_elsewhere(
    elsewhere: Elsewhere, project: Checkout, pulumi: FakeEngine, bench: Bench
) -> None:
    project.edit("dev", lambda config: config.update(tracking={"mode": "external", "url": f"{elsewhere.url}/ml/"}))
    pulumi.secrets["dev"] = json.dumps({"tracking": {"username": "vision", "password": "word"}})
    run = {"info": {"run_id": "1", "status": "FINISHED", "start_time": 7}, "data": {}}
    elsewhere.answers = {"/get-by-name": {"experiment": {"experiment_id": "4"}}, "/search": {"runs": [run]}}
    session = bench.session()
    with tracking(session.project.environment("dev"), session.kubectl("dev"), pulumi) as server:
        assert [entry["run_id"] for entry in server.runs(MODEL, 3)] == ["1"]
    (first, _), (second, login) = elsewhere.asked
    assert first.startswith("/ml/api/2.0/mlflow/experiments/get-by-name")
    assert second == "/ml/api/2.0/mlflow/runs/search"
    assert login == basic("vision", "word")


@pytest.mark.parametrize("asked", ["prod", "test", None])
def test_logs_are_asked_of_the_store_that_an_environment_names(
    asked: str | None, elsewhere: Elsewhere, project: Checkout, pulumi: FakeEngine
) -> None:
    project.edit("prod", lambda config: config.update(logging={"mode": "external", "url": elsewhere.url}))
    project.edit("dev", lambda config: config.update(logging={"mode": "external"}))
    pulumi.secrets["prod"] = json.dumps({"logStore": {"username": "reads", "password": "word"}})
    elsewhere.answers = {"/_search": {"hits": {"hits": [{"_source": {"message": "a"}}]}}}
    hits = log_store(Project(project.root), pulumi, asked).search({}, 1, wait=False)
    assert hits == [{"message": "a"}]
    assert elsewhere.asked[0][1] == basic("reads", "word")


def test_a_run_is_asked_for_by_its_id(
    elsewhere: Elsewhere, project: Checkout, pulumi: FakeEngine, bench: Bench
) -> None:
    project.edit("dev", lambda config: config.update(tracking={"mode": "external", "url": elsewhere.url}))
    pulumi.secrets["dev"] = json.dumps({})
    tags = [{"key": "stellwerk.job", "value": "train-1"}]
    run = {"info": {"run_id": "1", "status": "FINISHED", "start_time": 7}, "data": {"tags": tags}}
    elsewhere.answers = {"/runs/get": {"run": run}}
    session = bench.session()
    with tracking(session.project.environment("dev"), session.kubectl("dev"), pulumi) as server:
        assert (server.run("1") or {})["job"] == "train-1"
    assert elsewhere.asked[0][0] == "/api/2.0/mlflow/runs/get?run_id=1"


def test_the_newest_line_of_each_release_is_asked_for_at_once(
    elsewhere: Elsewhere, project: Checkout, pulumi: FakeEngine
) -> None:
    project.edit("prod", lambda config: config.update(logging={"mode": "external", "url": elsewhere.url}))
    pulumi.secrets["prod"] = json.dumps({"logStore": {"username": "reads", "password": "word"}})
    hit = {"_source": {"stellwerk": {"release": "v1-00000000"}, "http.request.id": "a"}}
    elsewhere.answers = {"/_search": {"hits": {"hits": [hit]}}}
    lines = log_store(Project(project.root), pulumi, "prod").predictions({}, ["v1-00000000", "v2-00000000"])
    assert lines == {"v1-00000000": {"stellwerk.release": "v1-00000000", "http.request.id": "a"}}
    assert len(elsewhere.asked) == 1


@pytest.mark.parametrize(
    ("section", "key", "prefix"),
    [
        ({"logging": {"mode": "external", "url": "https://logs.example.com"}}, "logStore", "STELLWERK_LOG_STORE"),
        ({"tracking": {"mode": "external", "url": "https://ml.example.com"}}, "tracking", "STELLWERK_TRACKING"),
    ],
)
def test_the_login_is_given_by_variables(
    section: dict[str, Any], key: str, prefix: str, made: FakeEngine, project: Checkout, bench: Bench, words: Words,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    project.edit("test", lambda config: config.update(section))
    monkeypatch.setenv(f"{prefix}_USERNAME", "given")
    with pytest.raises(StellwerkError, match=f"^{prefix}_PASSWORD is not set; it is the login of the .* https://"):
        init(bench.session(), "test", words.console)
    monkeypatch.setenv(f"{prefix}_PASSWORD", "word")
    init(bench.session(), "test", words.console)
    assert secrets(made, "test")[key] == {"username": "given", "password": "word"}


def test_a_tracking_server_may_have_no_login_and_gets_none_in_clear(
    made: FakeEngine, project: Checkout, bench: Bench, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://tracking.dev-platform.svc.cluster.local:5000"
    project.edit("test", lambda config: config.update(tracking={"mode": "external", "url": url}))
    init(bench.session(), "test", words.console)
    assert secrets(made, "test")["tracking"] == {}
    monkeypatch.setenv("STELLWERK_TRACKING_USERNAME", "given")
    with pytest.raises(StellwerkError, match="a login is sent to https URLs alone"):
        init(bench.session(), "test", words.console)
