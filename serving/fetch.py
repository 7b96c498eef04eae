"""``python -m serving.fetch``: bring the artefact from the object store and let it pass only with the right digest."""

import hashlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import shipping
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
        s3={"addressing_style": "virtual" if os.environ.get("S3_ADDRESSING_STYLE") == "virtual" else "path"},
        # The digest is what decides; not every S3-compatible store sends the checksums boto3 would ask for.
        response_checksum_validation="when_required",
    )
    try:
        return boto3.client("s3", region_name=os.environ.get("AWS_REGION", "us-east-1"), config=config)
    # Endpoint and CA bundle are looked at here; boto3 wraps neither error.
    except (BotoCoreError, ValueError, OSError) as error:
        raise StartError(f"object store: {error}") from error


def fetch(store: "S3Client", wanted: settings.Fetch) -> int:
    """Put the artefact's files into their folder, not to be written to, and return their size in bytes.

    Raises StartError when the store refuses, cannot be reached, or holds other content than a digest says; nothing of
    the artefact stands in the folder then.
    """
    folder = wanted.path.parent
    model = _Part(folder, wanted.path.name, wanted.key, wanted.digest)
    parts = [model, *[_Part(folder, one.name, one.key, one.digest, one.size) for one in wanted.files]]
    try:
        size = sum([_download(store, wanted.bucket, part) for part in parts])
        for part in parts:
            path = folder / part.name
            # Of the model's folder itself, whoever starts the fetcher takes care.
            if path.parent != folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            part.partial.replace(path)
    except OSError as error:
        raise StartError(
            f"artefact {wanted.bucket}/{wanted.key} cannot be written to {wanted.path}: {error}"
        ) from error
    finally:
        for part in parts:
            part.partial.unlink(missing_ok=True)
    return size


@dataclass(frozen=True)
class _Part:
    """A file to fetch, by its path below the folder; `size` in bytes where it is known."""

    folder: Path
    name: str
    key: str
    digest: str
    size: int | None = None

    @property
    def partial(self) -> Path:
        # No file of an artefact is called so.
        return self.folder / f".{self.name.replace('/', ':')}.partial"


def _download(store: "S3Client", bucket: str, part: _Part) -> int:
    """Return the size of what is now in the partial file, in a megabyte of memory, whatever its size."""
    where, state, size = f"artefact {bucket}/{part.key}", hashlib.sha256(), 0
    part.partial.unlink(missing_ok=True)
    try:
        with part.partial.open("wb") as file:
            for chunk in store.get_object(Bucket=bucket, Key=part.key)["Body"].iter_chunks(CHUNK_BYTES):
                state.update(chunk)
                size += file.write(chunk)
                if part.size is not None and size > part.size:
                    raise StartError(f"{where} has more than the {part.size} bytes expected; it is not served")
            os.fchmod(file.fileno(), 0o444)
    except (BotoCoreError, ClientError) as error:
        raise StartError(f"{where} cannot be fetched: {error}") from error
    digest = f"sha256:{state.hexdigest()}"
    if digest != part.digest:
        raise StartError(f"{where} has digest {digest}, expected {part.digest}; it is not served")
    return size


def main() -> int:
    """Fetch as the environment says; return 0, or 1 after one line that says why not."""
    # The first process of a container has no default action for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    context = {"service.name": "fetch", "service.environment": os.environ.get("ENVIRONMENT", "")}
    log = EcsLog(context, shipping.start(os.environ, "fetch"))
    try:
        wanted = settings.fetch()
        size = fetch(connect(), wanted)
    except StartError as error:
        log.emit("error", str(error))
        return 1
    more = f" and of {len(wanted.files)} files beside it" if wanted.files else ""
    log.emit("info", f"artefact {wanted.bucket}/{wanted.key}: {size} bytes, digest {wanted.digest}{more} verified")
    return 0


if __name__ == "__main__":
    sys.exit(main())
