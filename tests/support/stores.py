"""An object store behind TLS, with a bucket of the test's own for each environment."""

import io
import itertools
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from delivery.clients.store import Store
from delivery.operations import authority
from tests.support.checkout import Checkout
from tests.support.documents import ENVIRONMENTS
from tests.support.engine import FakeEngine

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_LOOPBACK = "127.0.0.1"
_counter = itertools.count()


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
        listed = self.client.list_objects_v2(Bucket=self.buckets[environment])
        return [entry["Key"] for entry in listed.get("Contents", [])]


@dataclass
class MemoryStores:
    """Object stores in memory, by environment; `moved` are the artefacts that were copied, as (source, target)."""

    objects: dict[str, dict[str, bytes]]
    moved: list[tuple[str, str]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    @property
    def buckets(self) -> dict[str, str]:
        return dict.fromkeys(self.objects, "models")

    def put(self, environment: str, key: str, content: bytes) -> None:
        self.objects[environment][key] = content

    def get(self, environment: str, key: str) -> bytes:
        return self.objects[environment][key]

    @contextmanager
    def open(self, environment: str) -> Iterator[Store]:
        client: Any = _MemoryClient(self, environment)
        yield Store(client, "models", f"object store of {environment} (memory)")


@dataclass(frozen=True)
class _MemoryClient:
    """What the command uses of an S3 client."""

    stores: MemoryStores
    environment: str

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        content = self.stores.objects[self.environment].get(Key)
        self.stores.read.append(self.environment)
        if content is None:
            raise ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "GetObject")  # type: ignore[typeddict-item]
        return {"ContentLength": len(content), "Body": StreamingBody(io.BytesIO(content), len(content))}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.stores.moved.append((self.stores.read[-1], self.environment))
        self.stores.objects[self.environment][Key] = Body


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the CA of its certificate."""

    port: int
    ca: str


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _node_port() -> socket.socket:
    """Listen on a free one of the ports that a stack file may name; another process may want the same one."""
    for port in range(32767, 31000, -1):
        with suppress(OSError):
            return socket.create_server((_LOOPBACK, port))
    raise AssertionError("no free node port")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    certificate, key = authority.make_authority("s3")
    context = tls_server(authority.sign(certificate, key, [_LOOPBACK]), tmp_path_factory.mktemp("s3"))
    application = DomainDispatcherApplication(create_backend_app)
    with _node_port() as listening:
        port = listening.getsockname()[1]
        server = make_server(
            _LOOPBACK, port, application, True, request_handler=_Quiet, ssl_context=context, fd=listening.fileno()
        )
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
def stores(project: Checkout, pulumi: FakeEngine, s3: S3Server, tmp_path: Path) -> ObjectStores:
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
