"""The stores that a Job reads data from, by its variables."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.training.conftest import BUCKET
from training.errors import TrainingError
from training.stores import buckets

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

LAKE = {
    "DATA_BUCKET": "lake",
    "DATA_ENDPOINT_URL": "https://s3.eu-central-1.amazonaws.com",
    "DATA_REGION": "eu-central-1",
    "DATA_ACCESS_KEY_ID": "lake",
    "DATA_SECRET_ACCESS_KEY": "secret",
}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own: a Job's authorities stay until its pod is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_without_variables_there_is_the_environments_own(store: "S3Client") -> None:
    (own,) = buckets(store, BUCKET, {})
    assert (own.client, own.name, own.folder) == (store, BUCKET, "data/")


def test_the_other_store_has_a_login_and_authorities_of_its_own(
    store: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://own.example.com")
    (tmp_path / "ca.crt").write_text("PRIVATE")
    client = boto3.client("s3", region_name="eu-central-1", endpoint_url=LAKE["DATA_ENDPOINT_URL"])
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket="lake", Key="people.csv", Body=b"age\n1\n")
    _, lake = buckets(store, BUCKET, {**os.environ, **LAKE, "AWS_CA_BUNDLE": str(tmp_path / "ca.crt")})
    assert (lake.name, lake.folder, lake.client.meta.endpoint_url) == ("lake", "", LAKE["DATA_ENDPOINT_URL"])
    assert lake.client.get_object(Bucket="lake", Key="people.csv")["Body"].read() == b"age\n1\n"
    assert lake.client._request_signer._credentials.access_key == "lake"  # type: ignore[attr-defined]


@pytest.mark.parametrize("change", [{"DATA_ENDPOINT_URL": "no url"}, {"AWS_CA_BUNDLE": "/absent"}])
def test_a_store_that_cannot_be_is_named(change: dict[str, str], store: "S3Client") -> None:
    with pytest.raises(TrainingError, match="store of data to train on"):
        buckets(store, BUCKET, LAKE | change)
