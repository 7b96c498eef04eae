"""Sessions for the command, of a checkout, an engine, a cluster and endpoints that only remember."""

import io
import json
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from delivery.clients.backend import Backend
from delivery.clients.endpoint import RELEASE_HEADER, Endpoint
from delivery.clients.engine import Engine
from delivery.clients.frameworks import Interpreter
from delivery.clients.jobs import TrainingJobs
from delivery.clients.kubectl import Kubectl
from delivery.clients.logs import LogStore
from delivery.clients.plan import Step
from delivery.clients.runs import Tracking
from delivery.clients.store import Store
from delivery.clock import Clock
from delivery.commands.app import main
from delivery.project import Project
from delivery.session import LocalCluster, Session
from infra.values import ROOT
from tests.support.checkout import MODEL, Checkout
from tests.support.engine import FakeEngine

Command = Callable[..., tuple[int, str, str]]
Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class Words:
    """A console that is read afterwards."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    @property
    def console(self) -> Console:
        return Console(file=self.stream, width=200)

    def __contains__(self, text: str) -> bool:
        return text in self.stream.getvalue()


@dataclass
class FakeClock(Clock):
    """Time that passes only while somebody sleeps; `asleep` is called with each pause."""

    now: float = 0
    asleep: Callable[[float], object] | None = None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.asleep:
            self.asleep(seconds)


class FakeCluster(Kubectl):
    """Answers with the objects and log lines that it is given; `refused` is raised by whatever asks."""

    def __init__(self) -> None:
        super().__init__("prod", "stellwerk", {})
        self.listed: Callable[[Sequence[str]], list[dict[str, Any]]] = lambda _: []
        self.lines = ""
        self.gone: list[list[Step]] = []
        self.refused: Exception | None = None
        self.asked: list[tuple[str, ...]] = []
        self.inputs: list[str] = []

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        self.asked.append(arguments)
        if self.refused:
            raise self.refused
        if stdin is not None:
            self.inputs.append(stdin)
        return self.lines if "logs" in arguments else json.dumps({"items": self.listed(arguments)})

    def missing(self, steps: Sequence[Step]) -> list[Step]:
        return self.gone.pop() if self.gone else []

    def of(self, environment: str) -> Kubectl:
        """Return this cluster as an environment's."""
        object.__setattr__(self, "environment", environment)
        return self


@dataclass(frozen=True)
class FakeEndpoint(Endpoint):
    """An endpoint whose answers a function makes."""

    respond: Handler

    def client(self, timeout: float = 30) -> httpx.Client:
        return _client(self.respond)


# Without the authorities of this machine, which take long to load.
_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _client(respond: Handler) -> httpx.Client:
    return httpx.Client(
        base_url="https://server.test", transport=httpx.MockTransport(respond), verify=_TRUST, trust_env=False
    )


class FakeInterpreter(Interpreter):
    """This interpreter, whose checks need no framework."""

    lacking: Sequence[str] = ()


class FakeSession(Session):
    """A session whose clients are given; what is not given is the command's own."""

    def __init__(
        self,
        project: Project,
        engine: Engine,
        backend: Backend | None = None,
        cluster: FakeCluster | None = None,
        respond: Callable[[str, httpx.Request], httpx.Response] | None = None,
        store: Callable[[str], AbstractContextManager[Store]] | None = None,
    ) -> None:
        local = LocalCluster(lambda: engine.variables, lambda _: None, lambda: None)
        super().__init__(project, engine.variables, local, engine.clock)
        self.engine = engine
        self.backend = backend or Backend(engine)
        self.cluster = cluster
        self.respond = respond
        self.stores = store
        self.logs: Handler | None = None
        self.server: Handler | None = None
        self.training: TrainingJobs | None = None

    def interpreter(self, model: str) -> Interpreter:
        made = super().interpreter(model)
        return FakeInterpreter(ROOT, made.framework, made.folder, os.environ, "tests.support.linear_check")

    def kubectl(self, environment: str) -> Kubectl:
        return self.cluster.of(environment) if self.cluster else super().kubectl(environment)

    def jobs(self, environment: str) -> TrainingJobs:
        return self.training or super().jobs(environment)

    def endpoint(self, environment: str, model: str) -> Endpoint:
        real, respond = super().endpoint(environment, model), self.respond
        if respond is None:
            return real
        return FakeEndpoint(real.url, real.trust, lambda request: respond(environment, request))

    def log_store(self) -> LogStore:
        assert self.logs is not None
        return LogStore("https://log-store.test", _client(self.logs), self.clock)

    @contextmanager
    def tracking(self, environment: str) -> Iterator[Tracking]:
        assert self.server is not None
        yield Tracking(_client(self.server), f"{environment}-platform")

    def store(self, environment: str) -> AbstractContextManager[Store]:
        return self.stores(environment) if self.stores else super().store(environment)


@dataclass
class Bench:
    """What the sessions of a test have in common: a command loads the project anew, the world outside goes on."""

    checkout: Checkout
    engine: FakeEngine
    cluster: FakeCluster
    clock: FakeClock
    # What the endpoints of an environment answer with; without an entry: what was applied last.
    answers: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    respond: Callable[[str, httpx.Request], httpx.Response] | None = None
    backend: Backend | None = None
    store: Callable[[str], AbstractContextManager[Store]] | None = None
    log_store: Handler | None = None
    tracking: Handler | None = None
    jobs: TrainingJobs | None = None

    def session(self) -> Session:
        project, respond = self.checkout.project(), self.respond or self._ready
        made = FakeSession(project, self.engine, self.backend, self.cluster, respond, self.store)
        made.logs, made.server, made.training = self.log_store, self.tracking, self.jobs
        return made

    def _ready(self, environment: str, _: httpx.Request) -> httpx.Response:
        """Answer whether a release is ready, and which."""
        if environment in self.answers:
            release = self.answers[environment]()
        elif environment in self.engine.serving:
            release = self.engine.serving[environment]
        else:
            release = self.engine.applied_in(environment).get(MODEL)
        return httpx.Response(200, headers={RELEASE_HEADER: release}) if release else httpx.Response(503)


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def target_variables(tmp_path: Path) -> dict[str, str]:
    """The target's: a file backend and a folder for the command's own files."""
    state = tmp_path / "state"
    return {
        "PATH": "/usr/bin:/bin",
        "PULUMI_BACKEND_URL": f"file://{state}/backend",
        "STELLWERK_WORK": f"{state}/work",
        "STELLWERK_REGISTRY_CA": f"{state}/config/registry-ca.crt",
    }


@pytest.fixture
def pulumi(project: Checkout, clock: FakeClock, target_variables: dict[str, str]) -> FakeEngine:
    """The engine, without any stack."""
    return FakeEngine(project, target_variables, clock)


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster that answers, and has no objects."""
    return FakeCluster()


@pytest.fixture
def bench(project: Checkout, pulumi: FakeEngine, cluster: FakeCluster, clock: FakeClock) -> Bench:
    """Sessions of the checkout, the engine and the cluster of this test."""
    return Bench(project, pulumi, cluster, clock)


@pytest.fixture
def stellwerk(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process; its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments, bench.session, tmp_path / "state")
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return run
