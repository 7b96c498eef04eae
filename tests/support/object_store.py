"""The object stores of the environments, by the names and with the logins that their pods use."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from components.kit import ports
from tests.support.project import Project

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "models"


def client(project: Project, environment: str, service: str, pair: dict[str, Any], folder: Path) -> "S3Client":
    """Return a client as a pod of the environment has it: by the service's name; `pair` is its login."""
    trust = folder / f"{environment}.crt"
    trust.write_text(project.authority(environment))
    return boto3.client(
        "s3",
        endpoint_url=f"https://{service}.{environment}-platform.svc:{ports.OBJECT_STORE}",
        aws_access_key_id=pair["accessKey"],
        aws_secret_access_key=pair["secretKey"],
        region_name="us-east-1",
        verify=str(trust),
        config=Config(
            proxies={},
            s3={"addressing_style": "path"},
            retries={"max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@pytest.fixture
def service_names(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make names of services lead to their addresses, as in a pod."""
    resolve = socket.getaddrinfo

    def lookup(host: Any, *more: Any, **other: Any) -> Any:
        name, _, rest = str(host).partition(".")
        if rest.endswith("-platform.svc"):
            namespace = rest.removesuffix(".svc")
            host = project.kubectl("-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
        return resolve(host, *more, **other)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
