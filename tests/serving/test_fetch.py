"""The fetcher: the artefact with the right digest, or nothing and one line."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from serving.errors import StartError
from serving.fetch import fetch, main
from serving.settings import Fetch, File
from tests.support.onnx_models import digest_of
from tests.support.project import ROOT

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONTENT = b"model" * 1_000_000
KEY = "digits/model.onnx"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> "Iterator[S3Client]":
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="models")
        client.put_object(Bucket="models", Key=KEY, Body=CONTENT)
        yield client


@pytest.fixture
def wanted(tmp_path: Path) -> Fetch:
    return Fetch("models", KEY, digest_of(CONTENT), tmp_path / "model.onnx")


def test_the_artefact_is_fetched(store: "S3Client", wanted: Fetch) -> None:
    assert fetch(store, wanted) == len(CONTENT)
    assert wanted.path.read_bytes() == CONTENT
    assert [path.name for path in wanted.path.parent.iterdir()] == ["model.onnx"]


def test_other_content_leaves_nothing_behind(store: "S3Client", wanted: Fetch) -> None:
    store.put_object(Bucket="models", Key=KEY, Body=CONTENT[:-1])
    with pytest.raises(StartError, match=rf"has digest {digest_of(CONTENT[:-1])}, expected {wanted.digest}"):
        fetch(store, wanted)
    assert list(wanted.path.parent.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(store: "S3Client", wanted: Fetch, tmp_path: Path) -> None:
    target = tmp_path / "missing" / "model.onnx"
    with pytest.raises(StartError, match=f"cannot be written to {target}"):
        fetch(store, Fetch("models", KEY, wanted.digest, target))


WEIGHTS = b"weights" * 500_000


@pytest.fixture
def of_two_files(store: "S3Client", wanted: Fetch) -> Fetch:
    """An artefact with a file beside its model."""
    store.put_object(Bucket="models", Key="digits/weights", Body=WEIGHTS)
    return replace(wanted, files=(File("weights.bin", digest_of(WEIGHTS), len(WEIGHTS), "digits/weights"),))


def test_further_files_are_fetched_into_the_same_folder_and_are_read_only(
    store: "S3Client", of_two_files: Fetch
) -> None:
    # A fetcher that was killed left something; the next one begins again.
    (of_two_files.path.parent / ".weights.bin.partial").write_bytes(b"half")
    for _ in range(2):
        assert fetch(store, of_two_files) == len(CONTENT) + len(WEIGHTS)
    files = {path.name: path for path in of_two_files.path.parent.iterdir()}
    assert {name: path.read_bytes() for name, path in files.items()} == {"model.onnx": CONTENT, "weights.bin": WEIGHTS}
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o444}


def test_files_have_the_folders_that_their_names_say(store: "S3Client", of_two_files: Fetch) -> None:
    (weights,) = of_two_files.files
    inner = replace(weights, name="variables/shards/one.bin")
    assert fetch(store, replace(of_two_files, files=(weights, inner))) == len(CONTENT) + 2 * len(WEIGHTS)
    folder = of_two_files.path.parent
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "model.onnx",
        "variables/shards/one.bin",
        "weights.bin",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"digest": f"sha256:{'0' * 64}"},
            rf"models/digits/weights has digest {digest_of(WEIGHTS)}, expected sha256:0",
        ),
        ({"size": len(WEIGHTS) - 1}, f"models/digits/weights has more than the {len(WEIGHTS) - 1} bytes expected"),
        ({"key": "digits/none"}, "models/digits/none cannot be fetched"),
    ],
)
def test_one_wrong_file_leaves_nothing_of_the_artefact(
    store: "S3Client", of_two_files: Fetch, change: dict[str, Any], message: str
) -> None:
    (weights,) = of_two_files.files
    with pytest.raises(StartError, match=message):
        fetch(store, replace(of_two_files, files=(replace(weights, **change),)))
    assert list(of_two_files.path.parent.iterdir()) == []


class Zeros(BaseHTTPRequestHandler):
    """An object store whose objects are as many zeros as their key says."""

    def do_GET(self) -> None:
        size = int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for at in range(0, size, len(CHUNK)):
            self.wfile.write(CHUNK[: size - at])

    def log_message(self, *_: Any) -> None:
        pass


CHUNK = bytes(2**20)
PEAK = """
from serving.fetch import main
assert main() == 0
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_large_file_is_fetched_in_little_memory(tmp_path: Path) -> None:
    def kibibytes(size: int) -> int:
        digest = hashlib.sha256()
        for at in range(0, size, len(CHUNK)):
            digest.update(CHUNK[: size - at])
        large = {"name": "weights.bin", "digest": f"sha256:{digest.hexdigest()}", "size": size, "key": str(size)}
        environ = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{store.server_port}",
            "MODEL_BUCKET": "models",
            "MODEL_KEY": "0",
            "MODEL_DIGEST": digest_of(b""),
            "MODEL_PATH": str(tmp_path / "model.onnx"),
            "ARTEFACT_FILES": json.dumps([large]),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run([sys.executable, "-c", PEAK], env=environ, capture_output=True, text=True, check=True)
        assert (tmp_path / "weights.bin").stat().st_size == size
        return int(done.stdout.splitlines()[-1])

    with ThreadingHTTPServer(("127.0.0.1", 0), Zeros) as store:
        thread = threading.Thread(target=store.serve_forever)
        thread.start()
        try:
            assert kibibytes(300_000_000) < kibibytes(1) + 64 * 1024
        finally:
            store.shutdown()
            thread.join()
            (tmp_path / "weights.bin").unlink()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({}, 0, "verified"),
        ({"MODEL_KEY": "digits/other.onnx"}, 1, "artefact models/digits/other.onnx cannot be fetched: "),
        ({"MODEL_DIGEST": f"sha256:{'0' * 64}"}, 1, "it is not served"),
        ({"MODEL_BUCKET": "", "MODEL_KEY": ""}, 1, "environment: MODEL_BUCKET, MODEL_KEY must be set"),
    ],
)
def test_the_command_says_in_one_line_what_happened(
    store: "S3Client",
    wanted: Fetch,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    change: dict[str, str],
    code: int,
    message: str,
) -> None:
    environ = {
        "MODEL_BUCKET": "models",
        "MODEL_KEY": KEY,
        "MODEL_DIGEST": wanted.digest,
        "MODEL_PATH": str(wanted.path),
    }
    for name, value in (environ | change).items():
        monkeypatch.setenv(name, value)
    assert main() == code
    (line,) = capsysbinary.readouterr().out.splitlines()
    assert message in json.loads(line)["message"]


def test_a_store_that_cannot_be_reached_is_one_line(
    wanted: Fetch, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    environ = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_S3": "not a url",
        "MODEL_BUCKET": "models",
        "MODEL_KEY": KEY,
        "MODEL_DIGEST": wanted.digest,
        "MODEL_PATH": str(wanted.path),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main() == 1
    (line,) = capsysbinary.readouterr().out.splitlines()
    assert "not a url" in json.loads(line)["message"]
