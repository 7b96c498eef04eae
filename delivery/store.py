"""The object stores of environments, and the copy of an artefact from one to the next."""

import hashlib
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from delivery import engine
from delivery.errors import DeliveryError
from infra.config import Mode
from infra.releases import Artefact
from infra.values import from_file

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Store:
    """A client and the bucket of models; `name` is what messages say."""

    client: "S3Client"
    bucket: str
    name: str

    @contextmanager
    def asked(self) -> Iterator["S3Client"]:
        """The client; whatever goes wrong with it is told with the store's name, as DeliveryError."""
        try:
            yield self.client
        except (BotoCoreError, ClientError, Boto3Error, ssl.SSLError) as error:
            raise DeliveryError(f"{self.name}: {error}") from error


@contextmanager
def connect(environment: str) -> Iterator[Store]:
    """The object store of an environment; its CA is verified."""
    values = from_file(environment).environment
    keys = engine.credentials(environment)["objectStore"]
    store = values.object_store
    endpoint = store.endpoint
    if store.mode is Mode.EMBEDDED:
        endpoint = f"https://{values.cluster.address}:{store.node_port}"
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as authority:
        authority.write(values.ca_certificate or "")
        authority.flush()
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=keys["accessKey"],
            aws_secret_access_key=keys["secretKey"],
            region_name="us-east-1",
            verify=authority.name if values.ca_certificate else None,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                # The own store is an address of the cluster: a proxy for the internet does not lead there.
                proxies={} if store.mode is Mode.EMBEDDED else None,
                retries={"mode": "standard", "max_attempts": 4},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        yield Store(client, store.bucket, f"object store of {environment} ({endpoint})")


def read_json(store: Store, key: str) -> bytes:
    """A small object; raises DeliveryError when it is not there."""
    with store.asked() as client:
        try:
            return client.get_object(Bucket=store.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if is_absent(error):
                raise DeliveryError(f"{store.name}: there is no {store.bucket}/{key}") from None
            raise


def is_absent(error: ClientError) -> bool:
    """Whether the store answered that there is no such object."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404)


def holds(store: Store, artefact: Artefact) -> bool:
    """Whether the artefact is there with its size; the content is verified by whoever loads it."""
    with store.asked() as client:
        try:
            head = client.head_object(Bucket=store.bucket, Key=artefact.key)
        except ClientError as error:
            if is_absent(error):
                return False
            raise
    return head["ContentLength"] == artefact.size


def copy(source: Store, target: Store, artefact: Artefact) -> int:
    """Copies the artefact unless the target has it; returns the bytes moved.

    Memory stays small at any size. Raises DeliveryError when the source has none, or another content than the
    digest says; the target then has none either.
    """
    if holds(target, artefact):
        return 0
    if not holds(source, artefact):
        raise DeliveryError(f"{source.name}: there is no artefact {source.bucket}/{artefact.key} of this size")
    with tempfile.TemporaryFile() as file:
        state = hashlib.sha256()
        with source.asked() as client:
            body: Any = client.get_object(Bucket=source.bucket, Key=artefact.key)["Body"]
            for chunk in body.iter_chunks(_CHUNK):
                state.update(chunk)
                file.write(chunk)
        found = f"sha256:{state.hexdigest()}"
        if found != artefact.digest:
            raise DeliveryError(
                f"{source.name}: {artefact.key} has digest {found}, the release says {artefact.digest}; "
                "the artefact was changed, nothing is promoted"
            )
        file.seek(0)
        with target.asked() as client:
            client.upload_fileobj(file, target.bucket, artefact.key)
    return artefact.size
