"""``python -m serving.fetch``: bring the artefact from the object store and let it pass only with the right digest."""

import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from serving import settings
from serving.errors import StartError
from serving.log import EcsLog

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CHUNK_BYTES = 1024**2


def connect() -> "S3Client":
    """Return a client of the store that AWS_ENDPOINT_URL_S3 names, with the keys and the CA of the environment.

    Raises StartError when the endpoint is no URL or the CA bundle is not there.
    """
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 5},
        s3={"addressing_style": "path"},
        # The digest is what decides; not every S3-compatible store sends the checksums boto3 would ask for.
        response_checksum_validation="when_required",
    )
    try:
        return boto3.client("s3", region_name=os.environ.get("AWS_REGION", "us-east-1"), config=config)
    # Endpoint and CA bundle are looked at here; boto3 wraps neither error.
    except (BotoCoreError, ValueError, OSError) as error:
        raise StartError(f"object store: {error}") from error


def fetch(store: "S3Client", wanted: settings.Fetch) -> int:
    """Put the artefact at its path and return its size in bytes.

    Raises StartError when the store refuses, cannot be reached, or holds other content than the digest says;
    nothing stands at the path then.
    """
    where = f"{wanted.bucket}/{wanted.key}"
    partial = wanted.path.with_suffix(".partial")
    try:
        digest, size = _download(store, wanted, partial)
        if digest != wanted.digest:
            raise StartError(f"artefact {where} has digest {digest}, expected {wanted.digest}; it is not served")
        partial.replace(wanted.path)
    except (BotoCoreError, ClientError) as error:
        raise StartError(f"artefact {where} cannot be fetched: {error}") from error
    except OSError as error:
        raise StartError(f"artefact {where} cannot be written to {wanted.path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return size


def _download(store: "S3Client", wanted: settings.Fetch, target: Path) -> tuple[str, int]:
    state, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for chunk in store.get_object(Bucket=wanted.bucket, Key=wanted.key)["Body"].iter_chunks(CHUNK_BYTES):
            state.update(chunk)
            size += file.write(chunk)
    return f"sha256:{state.hexdigest()}", size


def main() -> int:
    """Fetch as the environment says; return 0, or 1 after one line that says why not."""
    # The first process of a container has no default action for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    log = EcsLog({"service.name": "fetch", "service.environment": os.environ.get("ENVIRONMENT", "")})
    try:
        wanted = settings.fetch()
        size = fetch(connect(), wanted)
    except StartError as error:
        log.emit("error", str(error))
        return 1
    log.emit("info", f"artefact {wanted.bucket}/{wanted.key}: {size} bytes, digest {wanted.digest} verified")
    return 0


if __name__ == "__main__":
    sys.exit(main())
