"""The buckets that a Job reads data from: a part of the environment's own, and one of somebody else's."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path

from training.errors import TrainingError
from training.publish import config
from training.source import FOLDER, Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def buckets(own: "S3Client", name: str, environ: Mapping[str, str] = os.environ) -> list[Bucket]:
    """Return the environment's own bucket, and the one that DATA_BUCKET names; raise TrainingError for no endpoint."""
    opened = [Bucket(own, name, FOLDER)]
    if bucket := environ.get("DATA_BUCKET"):
        try:
            client = boto3.client(
                "s3",
                endpoint_url=environ["DATA_ENDPOINT_URL"],
                aws_access_key_id=environ["DATA_ACCESS_KEY_ID"],
                aws_secret_access_key=environ["DATA_SECRET_ACCESS_KEY"],
                region_name=environ["DATA_REGION"],
                verify=_authorities(environ.get("AWS_CA_BUNDLE")),
                config=config(),
            )
        except (BotoCoreError, ValueError, OSError, KeyError) as error:
            raise TrainingError(f"store of data to train on: {error!r}") from error
        opened.append(Bucket(client, bucket))
    return opened


def _authorities(private: str | None) -> str:
    """Return a file with the public authorities, and with those of the environment's own store."""
    public = str(get_cert_path(True))
    if private is None:
        return public
    with tempfile.NamedTemporaryFile("w", prefix="stellwerk-", suffix=".crt", delete=False) as file:
        file.write("\n".join(Path(each).read_text(encoding="utf-8") for each in (public, private)))
    return file.name
