"""Artefacts and candidates in the object store."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.conftest import BUCKET
from training.errors import TrainingError
from training.publish import connect, digest_of, put_candidate, put_object, stored_object

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONTENT = b"a model"
WANTED = stored_object("digits", CONTENT, "onnx")
KEY = WANTED.key


def stored(store: "S3Client") -> bytes:
    return store.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()


def test_the_key_is_the_content() -> None:
    digest = digest_of(CONTENT)
    assert stored_object("digits", CONTENT, "onnx").digest == digest
    assert f"digits/sha256-{digest[7:]}.onnx" == KEY


def test_the_second_time_nothing_is_written(store: "S3Client") -> None:
    assert put_object(store, BUCKET, WANTED, CONTENT) == len(CONTENT)
    assert put_object(store, BUCKET, WANTED, CONTENT) == 0
    assert stored(store) == CONTENT


def test_a_file_is_stored_part_by_part(store: "S3Client", tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * (70 << 10))
    wanted = stored_object("digits", path, "bin")
    assert put_object(store, BUCKET, wanted, path) == path.stat().st_size
    assert put_object(store, BUCKET, wanted, path) == 0
    assert store.get_object(Bucket=BUCKET, Key=wanted.key)["Body"].read() == path.read_bytes()
    assert store.head_object(Bucket=BUCKET, Key=wanted.key)["ETag"].endswith('-3"')


@pytest.mark.parametrize("damage", [b"A MODEL", b"a mod"])
def test_damaged_content_is_replaced(store: "S3Client", damage: bytes) -> None:
    store.put_object(Bucket=BUCKET, Key=KEY, Body=damage)
    assert put_object(store, BUCKET, WANTED, CONTENT) == len(CONTENT)
    assert stored(store) == CONTENT


def test_a_refusal_names_bucket_and_key(store: "S3Client") -> None:
    with pytest.raises(TrainingError, match=f"cannot store other/{KEY}: .*NoSuchBucket"):
        put_object(store, "other", WANTED, CONTENT)
    with pytest.raises(TrainingError, match=r"cannot store other/candidates/digits/job\.json: .*NoSuchBucket"):
        put_candidate(store, "other", {"model": "digits"}, "job")


def test_an_endpoint_that_is_no_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no url")
    with pytest.raises(TrainingError, match="object store: Invalid endpoint: no url"):
        connect()


def test_the_client_works_without_a_region(store: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert put_object(connect(), BUCKET, WANTED, CONTENT) == len(CONTENT)
