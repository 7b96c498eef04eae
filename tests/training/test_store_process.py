"""Data by the real object store: what the command brings there is what a Job trains on, and nothing else of it."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import boto3
import pytest

from components.kit import ports
from components.storage.object_store import _options
from delivery.clients import transfer
from delivery.clients.store import Store
from delivery.operations import authority
from infra.contract.artefact import StoredObject
from infra.contract.data import FOLDER, TEST_FOLDER, table_key
from tests.support.tools import eventually, free_port, running, tool
from tests.training.conftest import BUCKET
from tests.training.test_source import CONTENT, DIGEST, SIZES
from training import publish
from training.author import Author, no_load
from training.data import load
from training.errors import TrainingError
from training.stores import buckets

AUTHOR = Author(Path(), no_load, lambda *_: None)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store as an environment runs it, and the variables of a Job; the store as the command has it."""
    binary, port = tool("versitygw"), free_port()
    (tmp_path / "data" / BUCKET).mkdir(parents=True)
    certificate, key = authority.make_authority("store")
    pair = authority.sign(certificate, key, ["127.0.0.1"])
    for name, content in {"tls.crt": pair["certificate"], "tls.key": pair["key"], "ca.crt": certificate}.items():
        (tmp_path / name).write_text(content)
    options = [option.replace(f":{ports.OBJECT_STORE}", f"127.0.0.1:{port}").replace("/tls/", f"{tmp_path}/")
               for option in _options(ports.OBJECT_STORE)]  # fmt: skip
    environment = {"ROOT_ACCESS_KEY_ID": "writer", "ROOT_SECRET_ACCESS_KEY": "writer-secret", "TMPDIR": str(tmp_path)}
    variables = {
        "AWS_ENDPOINT_URL_S3": f"https://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "writer",
        "AWS_SECRET_ACCESS_KEY": "writer-secret",
        "AWS_CA_BUNDLE": str(tmp_path / "ca.crt"),
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    # Another test's has its login.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    log = tmp_path / "log"
    with running([binary, *options, "posix", tmp_path / "data"], log, environment):
        eventually(lambda: _answers(port, tmp_path / "ca.crt"), log)
        yield Store(boto3.client("s3", region_name="us-east-1"), BUCKET, "the store")


def _answers(port: int, authority: Path) -> bool:
    """Return whether somebody there has finished a handshake: the port is open before that."""
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as probe:
            ssl.create_default_context(cafile=authority).wrap_socket(probe, server_hostname="127.0.0.1").close()
    except OSError:
        return False
    return True


def push(store: Store, folder: str, file: Path) -> str:
    key = table_key(folder, "sizes", DIGEST, ".csv")
    assert transfer.upload(file, store, StoredObject(digest=DIGEST, size=len(CONTENT), key=key)) in (0, len(CONTENT))
    return f"s3://{BUCKET}/{key}"


@pytest.mark.tools
def test_a_job_trains_on_what_was_pushed(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "sizes.csv"
    file.write_bytes(CONTENT)
    source = push(store, FOLDER, file)
    assert push(store, FOLDER, file) == source
    opened = buckets(publish.connect(), BUCKET)
    model = replace(SIZES, source=source, digest=DIGEST)
    made = load(model, AUTHOR, opened)
    assert (len(made.train) + len(made.held_out), made.digest) == (200, f"sha256:{sha256(CONTENT).hexdigest()}")
    with pytest.raises(TrainingError, match="not in a store that this environment reads data from"):
        load(replace(model, source=push(store, TEST_FOLDER, file)), AUTHOR, opened)
    store.client.put_object(Bucket=BUCKET, Key=source.partition(f"{BUCKET}/")[2], Body=CONTENT + b"1,1\n")
    with pytest.raises(TrainingError, match=f"the model's document pins {DIGEST}"):
        load(model, AUTHOR, opened)
    store.client.delete_object(Bucket=BUCKET, Key=source.partition(f"{BUCKET}/")[2])
    with pytest.raises(TrainingError, match=r"it cannot be read: .*NoSuchKey"):
        load(model, AUTHOR, opened)
