"""The object stores of environments, and the copy of an artefact from one to the next."""

import hashlib
import ssl
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import get_cert_path

from delivery.clients.engine import Engine
from delivery.errors import DeliveryError, system_errors
from infra.contract.artefact import StoredObject
from infra.contract.environment import Environment
from infra.contract.problems import proved
from infra.services import data_store, object_store
from infra.values import file_name

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CHUNK = 1 << 20
_DOCUMENT = 4 << 20


@dataclass(frozen=True)
class Store:
    """A client and the bucket of models; `name` is what messages say."""

    client: "S3Client"
    bucket: str
    name: str

    @contextmanager
    def asked(self) -> Iterator["S3Client"]:
        """Yield the client; raise whatever goes wrong with it as DeliveryError with the store's name."""
        try:
            yield self.client
        except (BotoCoreError, ClientError, Boto3Error, ssl.SSLError) as error:
            raise DeliveryError(f"{self.name}: {error}") from error


@contextmanager
def connect(values: Environment, engine: Engine) -> Iterator[Store]:
    """Yield the object store of an environment; its CA is verified."""
    environment, endpoint = values.environment, object_store.external_url(values)
    region = object_store.region(values)
    place = _Place(
        f"object store of {environment} ({endpoint or f'S3 in {region}'})",
        endpoint,
        object_store.bucket(values),
        "objectStore",
        region or "us-east-1",
        embedded=object_store.runs(values),
        keys=object_store.has_keys(values),
        addressing="path" if object_store.path_style(values) else "virtual",
    )
    authorities = values.ca_certificate if object_store.has_own_authority(values) else None
    with _opened(place, environment, engine, authorities) as store:
        yield store


@contextmanager
def connect_data(values: Environment, engine: Engine) -> Iterator[Store]:
    """Yield the store with data of somebody else's; public authorities are trusted, and the environment's own."""
    environment, section = values.environment, data_store.section(values)
    endpoint, bucket = proved(section.endpoint), proved(section.bucket)
    place = _Place(f"data store of {environment} ({endpoint})", endpoint, bucket, "dataStore", section.region)
    authorities = f"{values.ca_certificate or ''}\n{Path(str(get_cert_path(True))).read_text(encoding='utf-8')}"
    with _opened(place, environment, engine, authorities) as store:
        yield store


@dataclass(frozen=True)
class _Place:
    """Where a store is, what messages call it, and the key of its section and its credentials.

    Without `keys` it is asked as whom one is in AWS, by a profile, a role or a login of the organization.
    """

    name: str
    endpoint: str | None
    bucket: str
    key: str
    region: str = "us-east-1"
    embedded: bool = False
    keys: bool = True
    addressing: Literal["path", "virtual"] = "path"


@contextmanager
def _opened(place: _Place, environment: str, engine: Engine, authorities: str | None) -> Iterator[Store]:
    access, secret = _login(environment, engine, place.key) if place.keys else (None, None)
    with ExitStack() as cleanup:
        with system_errors("writing the authority of the store", "make the temporary folder writable"):
            authority = cleanup.enter_context(tempfile.NamedTemporaryFile("w", suffix=".crt"))
            authority.write(authorities or "")
            authority.flush()
        try:
            client = boto3.client(
                "s3",
                endpoint_url=place.endpoint,
                aws_access_key_id=access,
                aws_secret_access_key=secret,
                region_name=place.region,
                verify=authority.name if authorities else None,
                config=_config(place),
            )
        except (BotoCoreError, ValueError) as error:
            action = f"correct stellwerk:{place.key} in {file_name(environment)}"
            raise DeliveryError(f"{place.name}: {error}; {action}") from error
        yield Store(client, place.bucket, place.name)


def _config(place: _Place) -> Config:
    return Config(
        connect_timeout=5,
        read_timeout=60,
        # The own store is an address of the cluster: a proxy for the internet does not lead there.
        proxies={} if place.embedded else None,
        retries={"mode": "standard", "max_attempts": 4},
        s3={"addressing_style": place.addressing},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _login(environment: str, engine: Engine, key: str) -> tuple[str, str]:
    """Return the keys of a store, of the environment's own those that write."""
    try:
        keys = engine.credentials(environment)[key]
        return keys["accessKey"], keys["secretKey"]
    except (KeyError, TypeError, ValueError):
        raise DeliveryError(
            f"{file_name(environment)}: stellwerk:credentials has no keys of stellwerk:{key}; "
            f"run `stellwerk init {environment}`"
        ) from None


def read_json(store: Store, key: str) -> bytes:
    """Return a small object; raise DeliveryError when it is absent or larger than a document may be."""
    with store.asked() as client:
        try:
            answer = client.get_object(Bucket=store.bucket, Key=key)
            if answer["ContentLength"] > _DOCUMENT:
                raise DeliveryError(f"{store.name}: {store.bucket}/{key} has more than {_DOCUMENT} bytes; not read")
            return answer["Body"].read()
        except ClientError as error:
            if is_absent(error):
                raise DeliveryError(f"{store.name}: there is no {store.bucket}/{key}") from None
            raise


def download(store: Store, key: str, file: IO[bytes]) -> str:
    """Write an object of which nothing is known into a file, and return its digest; raise DeliveryError without one."""
    state = hashlib.sha256()
    with store.asked() as client:
        try:
            answer = client.get_object(Bucket=store.bucket, Key=key)
        except ClientError as error:
            if is_absent(error):
                raise DeliveryError(
                    f"{store.name}: there is no {store.bucket}/{key}; `stellwerk data push` brings a table there"
                ) from None
            raise
        with closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK):
                state.update(chunk)
                file.write(chunk)
    file.flush()
    return f"sha256:{state.hexdigest()}"


def is_absent(error: ClientError) -> bool:
    """Return whether the store answered that there is no such object."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404)


def keys(store: Store, prefix: str) -> list[str]:
    """Return the keys of all objects that begin with a prefix."""
    with store.asked() as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


def delete(store: Store, keys: Iterable[str]) -> None:
    """Delete objects; one that is gone already is no error."""
    with store.asked() as client:
        for key in keys:
            client.delete_object(Bucket=store.bucket, Key=key)


class Content(StrEnum):
    """What a store has under an artefact's key."""

    ABSENT = "absent"
    CHANGED = "changed"
    INTACT = "intact"


def content(store: Store, artefact: StoredObject) -> Content:
    """Read and hash what the store has: size, name and checksums are written by whoever writes the object."""
    reading = _read(store, artefact)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            state: Content = end.value[0]
            return state


def least(contents: Iterable[Content]) -> Content:
    """Return what several objects are together: absent if one is, else changed if one is."""
    states = set(contents)
    return next((state for state in Content if state in states), Content.INTACT)


def holds(store: Store, artefact: StoredObject) -> bool:
    """Return whether the store has this very artefact."""
    return content(store, artefact) is Content.INTACT


def fetch(store: Store, artefact: StoredObject, file: IO[bytes]) -> None:
    """Write the artefact into a file, with little memory at any size.

    Raise DeliveryError when the store has none, or other content than size and digest say.
    """
    for chunk in chunks(store, artefact):
        file.write(chunk)
    file.flush()


def chunks(store: Store, artefact: StoredObject) -> Iterator[bytes]:
    """Yield the artefact, piece by piece.

    Raise DeliveryError when the store has none, or other content than size and digest say: the latter only after the
    last piece, so nobody uses one before.
    """
    place = f"{store.bucket}/{artefact.key}"
    state, digest = yield from _read(store, artefact)
    if state is Content.ABSENT:
        raise DeliveryError(f"{store.name}: there is no artefact {place}")
    if state is Content.CHANGED:
        raise DeliveryError(
            f"{store.name}: {place} {digest}, expected is {artefact.digest} with {artefact.size} bytes; "
            "the artefact was changed, and is not used"
        )


def _read(store: Store, artefact: StoredObject) -> Generator[bytes, None, tuple[Content, str]]:
    """Yield the content piece by piece, and return what it is, with the reason."""
    state = hashlib.sha256()
    with store.asked() as client:
        try:
            answer = client.get_object(Bucket=store.bucket, Key=artefact.key)
        except ClientError as error:
            if is_absent(error):
                return Content.ABSENT, ""
            raise
        with closing(answer["Body"]) as body:
            # Nobody makes this machine read or store more than the artefact is.
            if answer["ContentLength"] != artefact.size:
                return Content.CHANGED, f"has {answer['ContentLength']} bytes"
            for chunk in body.iter_chunks(_CHUNK):
                state.update(chunk)
                yield chunk
    digest = f"sha256:{state.hexdigest()}"
    return (Content.INTACT if digest == artefact.digest else Content.CHANGED), f"has digest {digest}"
