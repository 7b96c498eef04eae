"""Publication of artefact, examples and candidate in the object store."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from training.candidate import StoredObject
from training.errors import TrainingError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def config() -> Config:
    """Return how the clients of stores ask."""
    return Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 5},
        s3={"addressing_style": "path"},
        # S3-compatible stores do not all know the trailing checksums; the digest is verified by whoever loads.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def connect(environ: Mapping[str, str] = os.environ) -> "S3Client":
    """Return a client of the store that AWS_ENDPOINT_URL_S3 names, with the keys and the CA of the environment.

    Raise TrainingError when the endpoint is no URL or the CA bundle is not there.
    """
    try:
        return boto3.client("s3", region_name=environ.get("AWS_REGION", "us-east-1"), config=config())
    # Endpoint and CA bundle are looked at here; boto3 wraps neither error.
    except (BotoCoreError, ValueError, OSError) as error:
        raise TrainingError(f"object store: {error}") from error


def digest_of(content: bytes) -> str:
    """Return ``sha256:<hex>`` of a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def stored_object(model: str, content: bytes, ending: str) -> StoredObject:
    """Return digest, size and content-addressed key of a content."""
    digest = digest_of(content)
    return StoredObject(digest, len(content), f"{model}/{digest.replace(':', '-')}.{ending}")


def _is_present(store: "S3Client", bucket: str, key: str, content: bytes) -> bool:
    try:
        head = store.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    if head["ContentLength"] != len(content):
        return False
    stored = hashlib.sha256(store.get_object(Bucket=bucket, Key=key)["Body"].read())
    return stored.digest() == hashlib.sha256(content).digest()


def put_object(store: "S3Client", bucket: str, key: str, content: bytes, content_type: str) -> int:
    """Store a content under its content-addressed key and return the bytes written.

    Write nothing (0) when the store already holds this very content; content under the key that is not what the
    key says is replaced. Raise TrainingError when the store refuses or cannot be reached.
    """
    try:
        if _is_present(store, bucket, key, content):
            return 0
        store.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)
    except (BotoCoreError, ClientError) as error:
        raise TrainingError(f"object store: cannot store {bucket}/{key}: {error}") from error
    return len(content)


def put_candidate(store: "S3Client", bucket: str, candidate: Mapping[str, Any], job: str) -> StoredObject:
    """Store the candidate of `job` as JSON and return where, with its digest; raise TrainingError like put_object."""
    key = f"candidates/{candidate['model']}/{job}.json"
    body = json.dumps(candidate, indent=2, allow_nan=False).encode()
    try:
        store.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    except (BotoCoreError, ClientError) as error:
        raise TrainingError(f"object store: cannot store {bucket}/{key}: {error}") from error
    return StoredObject(digest_of(body), len(body), key)
