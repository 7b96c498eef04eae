"""Publication of artefact, examples and candidate in the object store."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from training.candidate import StoredObject
from training.errors import TrainingError
from training.exported import file_digest

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CHUNK = 1 << 20
# One part after the other: several at once would need the memory of several.
_PARTS = TransferConfig(multipart_chunksize=8 << 20, use_threads=False)


def config(addressing: Literal["path", "virtual"] = "path") -> Config:
    """Return how the clients of stores ask; the bucket stands in the path, or in the host's name (`virtual`)."""
    return Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 5},
        s3={"addressing_style": addressing},
        # S3-compatible stores do not all know the trailing checksums; the digest is verified by whoever loads.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def connect(environ: Mapping[str, str] = os.environ) -> "S3Client":
    """Return a client of the store that AWS_ENDPOINT_URL_S3 names, with the keys and the CA of the environment.

    Raise TrainingError when the endpoint is no URL or the CA bundle is not there.
    """
    style = config("virtual" if environ.get("S3_ADDRESSING_STYLE") == "virtual" else "path")
    try:
        return boto3.client("s3", region_name=environ.get("AWS_REGION", "us-east-1"), config=style)
    # Endpoint and CA bundle are looked at here; boto3 wraps neither error.
    except (BotoCoreError, ValueError, OSError) as error:
        raise TrainingError(f"object store: {error}") from error


def digest_of(content: bytes) -> str:
    """Return ``sha256:<hex>`` of a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def stored_object(model: str, content: bytes | Path, ending: str) -> StoredObject:
    """Return digest, size and content-addressed key of a content, or of a file's."""
    if isinstance(content, bytes):
        digest, size = digest_of(content), len(content)
    else:
        digest, size = file_digest(content), content.stat().st_size
    return StoredObject(digest, size, f"{model}/{digest.replace(':', '-')}.{ending}")


def _is_present(store: "S3Client", bucket: str, wanted: StoredObject) -> bool:
    try:
        answer = store.get_object(Bucket=bucket, Key=wanted.key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] != wanted.size:
            return False
        state = hashlib.sha256()
        for chunk in body.iter_chunks(_CHUNK):
            state.update(chunk)
    return f"sha256:{state.hexdigest()}" == wanted.digest


def put_object(store: "S3Client", bucket: str, wanted: StoredObject, content: bytes | Path) -> int:
    """Store a content, or a file's, under its content-addressed key and return the bytes written.

    Write nothing (0) when the store already holds this very content; content under the key that is not what the
    key says is replaced. A file is read part by part. Raise TrainingError when the store refuses or cannot be reached.
    """
    kind = "application/json" if wanted.key.endswith(".json") else "application/octet-stream"
    try:
        if _is_present(store, bucket, wanted):
            return 0
        if isinstance(content, bytes):
            store.put_object(Bucket=bucket, Key=wanted.key, Body=content, ContentType=kind)
        else:
            store.upload_file(str(content), bucket, wanted.key, ExtraArgs={"ContentType": kind}, Config=_PARTS)
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise TrainingError(f"object store: cannot store {bucket}/{wanted.key}: {error}") from error
    return wanted.size


def put_candidate(store: "S3Client", bucket: str, candidate: Mapping[str, Any], job: str) -> StoredObject:
    """Store the candidate of `job` as JSON and return where, with its digest; raise TrainingError like put_object."""
    key = f"candidates/{candidate['model']}/{job}.json"
    body = json.dumps(candidate, indent=2, allow_nan=False).encode()
    try:
        store.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    except (BotoCoreError, ClientError) as error:
        raise TrainingError(f"object store: cannot store {bucket}/{key}: {error}") from error
    return StoredObject(digest_of(body), len(body), key)
