"""A copy of the stack files, an engine and endpoints that only remember, and an object store behind TLS."""

import io
import itertools
import json
import os
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from rich.console import Console
from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter
from werkzeug.serving import WSGIRequestHandler, make_server

from delivery import stackfile  # fmt: skip
from delivery.clients import endpoint, engine
from delivery.errors import DeliveryError
from delivery.operations import accepted, authority, pods, predict, promote, release, status, train, waiting
from delivery.operations.plan import Plan, Step
from infra import values
from infra.contract.release import Releases

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

ENVIRONMENTS = ("dev", "test", "prod")
MODEL = "digits"
FIRST, SECOND = "v1-0a1b2c3d", "v2-3f2a9c1d"
FIXTURES = Path(__file__).parents[1] / "infra" / "contract" / "releases"
COMPONENT, SERVICE = "stellwerk:index:InferenceService", "serving.kserve.io/v1beta1:InferenceService"
_LOOPBACK = "127.0.0.1"
_counter = itertools.count()


class _Representer(RoundTripRepresenter):
    """Writes null as the stack files do."""


_Representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null"))


def yaml() -> YAML:
    """YAML as Pulumi writes it, comments kept."""
    found = YAML(typ="rt")
    found.Representer = _Representer
    found.preserve_quotes = True
    found.indent(mapping=2, sequence=4, offset=2)
    found.width = 1 << 20
    return found


@dataclass(frozen=True)
class Project:
    """A checkout with nothing in it but `stacks/`."""

    root: Path

    def file(self, environment: str) -> Path:
        return self.root / values.file_name(environment)

    def text(self, environment: str) -> bytes:
        return self.file(environment).read_bytes()

    def edit(self, environment: str, change: Callable[[Any], None]) -> None:
        """Changes values, by their keys without namespace."""
        document = yaml().load(self.file(environment))
        config = {key.removeprefix("stellwerk:"): value for key, value in document["config"].items()}
        change(config)
        document["config"] = {f"stellwerk:{key}": value for key, value in config.items()}
        yaml().dump(document, self.file(environment))

    def config(self, environment: str) -> Any:
        """The values, by their keys without namespace."""
        document = YAML(typ="safe").load(self.file(environment))
        return {key.removeprefix("stellwerk:"): value for key, value in document["config"].items()}

    def point(self, environment: str, current: str | None, previous: str | None = None) -> None:
        text = self.file(environment).read_text()
        for key, value in (("release", current), ("previous", previous)):
            text = re.sub(rf"^      {key}: \S+$", f"      {key}: {value or 'null'}", text, flags=re.MULTILINE)
        self.file(environment).write_text(text)

    def trust(self, certificate: str) -> None:
        """Writes the CA into each stack file, as `stellwerk init` does."""
        block = "".join(f"    {line}\n" for line in certificate.splitlines())
        for name in ENVIRONMENTS:
            with self.file(name).open("a") as file:
                file.write(f"  stellwerk:caCertificate: |\n{block}")

    def pointers(self, environment: str) -> tuple[str | None, str | None]:
        model = self.config(environment)["models"][MODEL]
        return model["release"], model["previous"]


@cache
def fresh(text: str) -> str:
    """A stack file as it is before anything was made or promoted with it."""
    document = yaml().load(text)
    document.pop("encryptionsalt", None)
    for key in ("credentials", "caCertificate"):
        document["config"].pop(f"stellwerk:{key}", None)
    for model in document["config"]["stellwerk:models"].values():
        model.update(release=None, previous=None)
    stream = io.StringIO()
    yaml().dump(document, stream)
    return stream.getvalue()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the stack files without releases; the code under test knows no other."""
    made = Project(tmp_path / "checkout")
    (made.root / "stacks").mkdir(parents=True)
    for name in ENVIRONMENTS:
        made.file(name).write_text(fresh((values.ROOT / values.file_name(name)).read_text()))
    for module in (stackfile, engine, train):
        monkeypatch.setattr(module, "ROOT", made.root)
    monkeypatch.setattr(values.from_file, "__defaults__", (made.root,))
    for module in (release, promote, accepted, predict, status):
        monkeypatch.setattr(module, "RELEASES", Releases(made.root / "stacks" / "releases"))
    return made


@pytest.fixture
def releases(project: Project) -> Releases:
    """The two releases of the configuration's fixtures."""
    folder = project.root / "stacks" / "releases"
    shutil.copytree(FIXTURES, folder)
    return Releases(folder)


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state, login or repository of the machine that runs the tests."""
    for name in os.environ:
        if name.startswith(("AWS_", "GIT_", "PULUMI_", "STELLWERK_")):
            monkeypatch.delenv(name)
    state = tmp_path / "state"
    monkeypatch.setenv("STELLWERK_STATE", str(state))
    target = {"PULUMI_BACKEND_URL": f"file://{state}/backend", "STELLWERK_WORK": f"{state}/work"}
    monkeypatch.setattr(engine, "surroundings", lambda: {**os.environ, **target})


@dataclass
class Words:
    """A console that is read afterwards."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    @property
    def console(self) -> Console:
        return Console(file=self.stream, width=200)

    def __contains__(self, text: str) -> bool:
        return text in self.stream.getvalue()


@pytest.fixture
def words() -> Words:
    return Words()


@dataclass
class Engine:
    """Stands in for the pulumi command: knows stacks and secrets, and serves what the files point at."""

    project: Project
    stacks: set[str] = field(default_factory=set)
    secrets: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    serving: dict[str, str | None] = field(default_factory=dict)
    # What `up` and `preview` do in turn: True when nothing is said.
    results: dict[str, list[bool]] = field(default_factory=dict)
    # What an endpoint answers with; default: what the last `up` applied.
    answers: Callable[[str], str | None] | None = None
    commands: list[tuple[str, ...]] = field(default_factory=list)
    shown: list[tuple[str, bytes]] = field(default_factory=list)
    previewed: list[bytes] = field(default_factory=list)
    names: dict[int | None, str] = field(default_factory=dict)
    # Releases by model in each stack's state, the updates newest first, and other resources that would change.
    applied: dict[str, dict[str, str | None]] = field(default_factory=dict)
    updates: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    drifted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refreshed: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        self.commands.append(arguments)
        match arguments:
            case ("stack", "ls", "--json"):
                return json.dumps([{"name": name} for name in sorted(self.stacks)])
            case ("stack", "init", name, "--no-select"):
                self.stacks.add(name)
            case ("stack", "output", "--stack", name, "--json"):
                return json.dumps(self.outputs)
            case ("config", "get", engine.KEY, "--stack", name):
                if name not in self.secrets:
                    raise DeliveryError(f"configuration key not found for stack {name}")
                return self.secrets[name]
            case ("config", "set", engine.KEY, "--secret", "--stack", name):
                assert stdin is not None
                self._encrypt(name, stdin)
            case ("cancel", "--stack", name, "--yes"):
                pass
            case _:
                raise AssertionError(f"pulumi {' '.join(arguments)}: not expected")
        return ""

    def _encrypt(self, name: str, text: str) -> None:
        self.secrets[name] = text
        document = yaml().load(self.project.file(name))
        document["config"][engine.KEY] = {"secure": f"v1:{hash(text):x}:AAAA/BBBB+CCCC=="}
        yaml().dump(document, self.project.file(name))

    def preview(self, name: str, text: str, *, shown: bool) -> Plan:
        if shown:
            self.shown.append(("preview", self.project.text(name)))
            self.previewed.append(text.encode())
        if not self._result("preview"):
            raise DeliveryError(f"the preview of {name} failed, see above; nothing was changed")
        return plan(self.applied_in(name), models(text), self.drifted.get(name, ()))

    def update(
        self, name: str, text: str, stop: Callable[[], bool] | None = None, seconds: float | None = None
    ) -> engine.Update:
        self.shown.append(("up", self.project.text(name)))
        begun = bool(plan(self.applied_in(name), models(text)).changes)
        done = self._result("up")
        # One that fails has got as far as the model's own object.
        self.applied[name] = models(text)
        if done:
            self.serving[name] = self.applied[name].get(MODEL)
            self.updates.insert(0, (name, self.applied[name]))
        return engine.Update(done, begun)

    def resources(self, name: str) -> Plan:
        return plan(self.applied_in(name), self.applied_in(name))

    def refresh(self, name: str, urns: Sequence[str]) -> bool:
        self.refreshed.append((name, *urns))
        return self._result("refresh")

    def _result(self, command: str) -> bool:
        results = self.results.get(command)
        return results.pop(0) if results else True

    def applied_in(self, name: str) -> dict[str, str | None]:
        """What the stack's state holds; as long as nothing else is said what the file names."""
        return self.applied.setdefault(name, models(self.project.file(name).read_text()))

    def history(self, name: str) -> list[dict[str, Any]]:
        """Its updates as `pulumi stack history --json` says them."""
        return [
            {
                "kind": "update",
                "result": "succeeded",
                "config": {
                    "stellwerk:models": {"objectValue": {key: {"release": value} for key, value in held.items()}}
                },
            }
            for environment, held in self.updates
            if environment == name
        ]

    def environment_of(self, target: endpoint.Endpoint) -> str:
        if not self.names:
            self.names = {self.project.config(name)["gateway"]["nodePort"]: name for name in ENVIRONMENTS}
        return self.names[httpx.URL(target.url).port]

    def answering(self, target: endpoint.Endpoint, client: httpx.Client) -> str | None:
        name = self.environment_of(target)
        return self.answers(name) if self.answers else self.serving.get(name)

    @property
    def changes(self) -> list[str]:
        """The commands that change something."""
        return [command for command, _ in self.shown if command != "preview"]


def models(text: str) -> dict[str, str | None]:
    """The releases that a stack file names, by model."""
    found = YAML(typ="safe").load(text)["config"]["stellwerk:models"] or {}
    return {name: model.get("release") for name, model in found.items()}


def plan(applied: Mapping[str, str | None], wanted: Mapping[str, str | None], drifted: Iterable[str] = ()) -> Plan:
    """What the engine would do: each model is a component with one object below it."""
    steps, parents = [], {}
    for name in sorted({*applied, *wanted}):
        old, new = applied.get(name), wanted.get(name)
        if old is None and new is None:
            continue
        op = "same" if old == new else "create" if old is None else "delete" if new is None else "update"
        component = f"urn:pulumi:x::stellwerk::{COMPONENT}::{name}"
        child = f"urn:pulumi:x::stellwerk::{COMPONENT}$kubernetes:{SERVICE}::{name}"
        parents[child] = component
        steps.append(Step(child, op, f"kubernetes:{SERVICE}", f"x-serving/{name}", old is not None, f"{old} {new}"))
    steps += [Step(f"urn:pulumi:x::stellwerk::kubernetes:core/v1:ConfigMap::{name}", "update",
                   "kubernetes:core/v1:ConfigMap", f"x/{name}", True, name) for name in drifted]  # fmt: skip
    return Plan(tuple(steps), parents)


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (promote, accepted, pods, train, engine, waiting):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made.monotonic, sleep=made.sleep))
    return made


@pytest.fixture
def pulumi(project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine, with all endpoints answering from it."""
    made = Engine(project)
    monkeypatch.setattr(engine, "run", made.run)
    for name in ("preview", "update", "refresh", "resources", "history"):
        monkeypatch.setattr(engine, name, getattr(made, name))
    monkeypatch.setattr(promote.kube, "require", lambda _: None)
    monkeypatch.setattr(promote.kube, "missing", lambda *_: [])
    monkeypatch.setattr(pods, "troubles", lambda *_: [])
    for module in (promote, accepted, status):
        monkeypatch.setattr(module, "answering_release", made.answering)
    return made


@dataclass(frozen=True)
class ObjectStores:
    """One S3 server behind TLS with a bucket per environment."""

    client: "S3Client"
    buckets: Mapping[str, str]

    def put(self, environment: str, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.buckets[environment], Key=key, Body=content)

    def get(self, environment: str, key: str) -> bytes:
        return self.client.get_object(Bucket=self.buckets[environment], Key=key)["Body"].read()

    def keys(self, environment: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.buckets[environment])
        return [entry["Key"] for entry in found.get("Contents", [])]


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the CA of its certificate."""

    port: int
    ca: str


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _node_port() -> int:
    """A free one of the ports that a stack file may name."""
    for port in range(32767, 31000, -1):
        with socket.socket() as probe:
            if probe.connect_ex((_LOOPBACK, port)):
                return port
    raise AssertionError("no free node port")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    certificate, key = authority.make_authority("s3")
    context = tls_server(authority.sign(certificate, key, [_LOOPBACK]), tmp_path_factory.mktemp("s3"))
    port = _node_port()
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(_LOOPBACK, port, application, True, request_handler=_Quiet, ssl_context=context)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield S3Server(port, certificate)
    server.shutdown()


def tls_server(pair: Mapping[str, str], folder: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate and its key, PEM."""
    file = folder / "pair.pem"
    file.write_text(pair["certificate"] + pair["key"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture(scope="session")
def ca() -> str:
    """The certificate of an authority."""
    certificate, _ = authority.make_authority("any")
    return certificate


@pytest.fixture
def stores(project: Project, pulumi: Engine, s3: S3Server, tmp_path: Path) -> ObjectStores:
    """The stack files name the server, and a bucket of the test's own for each environment."""
    keys = {"accessKey": "access", "secretKey": "secret"}
    buckets = {name: f"{name}-{next(_counter)}" for name in ENVIRONMENTS}
    for name, bucket in buckets.items():
        text = project.file(name).read_text()
        text = re.sub(r"^    address: [A-Za-z0-9.-]+$", f"    address: {_LOOPBACK}", text, flags=re.MULTILINE)
        store = f"    mode: embedded\n    nodePort: {s3.port}\n    bucket: {bucket}\n"
        text = re.sub(r"(?<=stellwerk:objectStore:\n)(    .*\n)+", store, text)
        project.file(name).write_text(text)
        pulumi.secrets[name] = json.dumps({"objectStore": keys})
    project.trust(s3.ca)
    trust = tmp_path / "s3-ca.crt"
    trust.write_text(s3.ca)
    client = boto3.client(
        "s3",
        endpoint_url=f"https://{_LOOPBACK}:{s3.port}",
        aws_access_key_id="access",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        verify=str(trust),
    )
    for bucket in buckets.values():
        client.create_bucket(Bucket=bucket)
    return ObjectStores(client, buckets)
