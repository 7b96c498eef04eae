"""Artefacts and candidates in the object store."""

from typing import TYPE_CHECKING

import pytest

from tests.training.conftest import BUCKET
from training.errors import TrainingError
from training.publish import connect, digest_of, put_candidate, put_object, stored_object

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONTENT = b"a model"
KEY = stored_object("digits", CONTENT, "onnx").key
KIND = "application/octet-stream"


def stored(store: "S3Client") -> bytes:
    return store.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()


def test_the_key_is_the_content() -> None:
    digest = digest_of(CONTENT)
    assert stored_object("digits", CONTENT, "onnx").digest == digest
    assert f"digits/sha256-{digest[7:]}.onnx" == KEY


def test_the_second_time_nothing_is_written(store: "S3Client") -> None:
    assert put_object(store, BUCKET, KEY, CONTENT, KIND) == len(CONTENT)
    assert put_object(store, BUCKET, KEY, CONTENT, KIND) == 0
    assert stored(store) == CONTENT


@pytest.mark.parametrize("damage", [b"A MODEL", b"a mod"])
def test_damaged_content_is_replaced(store: "S3Client", damage: bytes) -> None:
    store.put_object(Bucket=BUCKET, Key=KEY, Body=damage)
    assert put_object(store, BUCKET, KEY, CONTENT, KIND) == len(CONTENT)
    assert stored(store) == CONTENT


def test_a_refusal_names_bucket_and_key(store: "S3Client") -> None:
    with pytest.raises(TrainingError, match=f"cannot store other/{KEY}: .*NoSuchBucket"):
        put_object(store, "other", KEY, CONTENT, KIND)
    with pytest.raises(TrainingError, match=r"cannot store other/candidates/digits/job\.json: .*NoSuchBucket"):
        put_candidate(store, "other", {"model": "digits"}, "job")


def test_an_endpoint_that_is_no_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no url")
    with pytest.raises(TrainingError, match="object store: Invalid endpoint: no url"):
        connect()


def test_the_client_works_without_a_region(store: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert put_object(connect(), BUCKET, KEY, CONTENT, KIND) == len(CONTENT)
