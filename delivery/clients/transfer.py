"""Artefacts of any size brought into a store, from another one or from a file, with the memory of two parts."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.clients.store import Store, chunks, holds
from delivery.errors import DeliveryError, system_errors
from infra.contract.artefact import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_CHUNK = 1 << 20
# A store takes at least 5 MiB a part, and at most 10,000 parts.
_PART = 8 << 20
_PARTS = 10_000


def copy(source: Store, target: Store, artefact: StoredObject) -> int:
    """Copy an object unless the target has this very content; return the bytes moved.

    Raise DeliveryError when the source has none, or another content than the digest says; the target then stays
    as it is.
    """
    return _bring(target, artefact, chunks(source, artefact))


def upload(path: Path, target: Store, artefact: StoredObject) -> int:
    """Bring a file into the store unless it has this very content; return the bytes moved.

    Raise DeliveryError when the file is not what size and digest say any more; the store then stays as it is.
    """
    with system_errors("reading the file", "make it readable"):
        return _bring(target, artefact, _content(path, artefact))


def write(content: bytes, target: Store, stored: StoredObject) -> int:
    """Bring a document into the store unless it has this very content; return the bytes moved."""
    return _bring(target, stored, iter((content,)))


def _content(path: Path, artefact: StoredObject) -> Iterator[bytes]:
    state, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
            size += len(chunk)
            yield chunk
    if (f"sha256:{state.hexdigest()}", size) != (artefact.digest, artefact.size):
        raise DeliveryError(f"{path}: it was changed while it was read; nothing is published, try again")


def _bring(target: Store, artefact: StoredObject, content: Iterator[bytes]) -> int:
    """Put the pieces together as one object, which is there whole or not at all."""
    if holds(target, artefact):
        return 0
    size = max(_PART, -(-artefact.size // _PARTS))
    parts = _parts(content, size)
    if artefact.size <= size:
        # Read to its end before anything is written: only then its digest is known to be right.
        body = b"".join(parts)
        with target.asked() as client:
            client.put_object(Bucket=target.bucket, Key=artefact.key, Body=body)
    else:
        with target.asked() as client:
            _abort_unfinished(client, target.bucket, artefact.key)
            _upload(client, target.bucket, artefact.key, parts)
    return artefact.size


def _parts(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the pieces as parts of `size` bytes, the last one smaller."""
    part = bytearray()
    for chunk in content:
        part += chunk
        while len(part) >= size:
            yield bytes(memoryview(part)[:size])
            del part[:size]
    if part:
        yield bytes(part)


def _abort_unfinished(client: "S3Client", bucket: str, key: str) -> None:
    """Remove the parts that a killed upload of this object has left."""
    for upload in client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _upload(client: "S3Client", bucket: str, key: str, parts: Iterable[bytes]) -> None:
    identity = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    try:
        done: list[CompletedPartTypeDef] = []
        for number, part in enumerate(parts, 1):
            answer = client.upload_part(Bucket=bucket, Key=key, UploadId=identity, PartNumber=number, Body=part)
            done.append({"ETag": answer["ETag"], "PartNumber": number})
        client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=identity, MultipartUpload={"Parts": done})
    except BaseException:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=identity)
        raise
