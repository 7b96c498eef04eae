"""The fetcher: the artefact with the right digest, or nothing and one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from serving.errors import StartError
from serving.fetch import fetch, main
from serving.settings import Fetch
from tests.support.onnx_models import digest_of

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
