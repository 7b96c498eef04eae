"""The file that a model's document names as its data: fetched, and known by its digest before anybody reads it."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from training.document import Model
from training.errors import TrainingError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_SCHEME = "s3://"
# A Job's login opens the whole bucket, its code this part of it alone: neither models nor what they are tested on.
FOLDER = "data/"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bucket:
    """A bucket of a store; nothing is read of it but keys that begin with `folder`."""

    client: "S3Client"
    name: str
    folder: str = ""


@dataclass(frozen=True)
class File:
    """A data set's file, and its digest (``sha256:<hex>``)."""

    path: Path
    digest: str


@contextmanager
def opened(model: Model, folder: Path, buckets: Sequence[Bucket] = ()) -> Iterator[File]:
    """Yield the file that the document names: of the model's folder, or of a bucket, fetched for as long.

    Raise TrainingError when it is absent, or is not the one whose digest the document pins.
    """
    source = str(model.source)
    place = f"data of {model.name}: {source}"
    with tempfile.NamedTemporaryFile(prefix="stellwerk-", suffix=Path(source).suffix) as fetched:
        if source.startswith(_SCHEME):
            _fetch(source, place, buckets, fetched)
            path = Path(fetched.name)
        else:
            path = folder / source
        try:
            with path.open("rb") as content:
                digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        except OSError as error:
            raise TrainingError(f"{place}: {error.strerror}; put the file there, or correct data.source") from error
        if model.digest not in (None, digest):
            raise TrainingError(
                f"{place}: its digest is {digest}, the model's document pins {model.digest}; restore the file, or pin "
                "the new digest when it is meant to be trained on"
            )
        yield File(path, digest)


def _fetch(source: str, place: str, buckets: Sequence[Bucket], file: IO[bytes]) -> None:
    """Write the object into the file; raise TrainingError when it may not be read, or cannot be."""
    # Only Jobs need the store's client.
    from botocore.exceptions import BotoCoreError, ClientError

    name, _, key = source.removeprefix(_SCHEME).partition("/")
    if not buckets:
        raise TrainingError(
            f"{place}: no object store is at hand here; `stellwerk model check` fetches the file itself"
        )
    client = next((each.client for each in buckets if each.name == name and key.startswith(each.folder)), None)
    if client is None:
        allowed = " or ".join(f"{_SCHEME}{each.name}/{each.folder}…" for each in buckets)
        raise TrainingError(f"{place}: not in a store that this environment reads data from; allowed: {allowed}")
    try:
        for chunk in client.get_object(Bucket=name, Key=key)["Body"].iter_chunks(_CHUNK):
            file.write(chunk)
        file.flush()
    except (BotoCoreError, ClientError) as error:
        raise TrainingError(f"{place}: it cannot be read: {error}; `stellwerk data push` brings it there") from error
    except OSError as error:
        raise TrainingError(f"{place}: it cannot be kept: {error.strerror}; it has to fit /tmp") from error
