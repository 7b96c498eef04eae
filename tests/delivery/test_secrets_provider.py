"""`init` with a key of AWS's KMS instead of a passphrase: the real engine, and moto as the service."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml
from moto.server import ThreadedMotoServer

from delivery.clients.engine import Engine
from delivery.errors import DeliveryError
from delivery.operations.init import init
from delivery.project import Project
from delivery.session import LocalCluster, Session
from tests.program.harness import ROOT
from tests.support.documents import whole_values, write_stacks
from tests.support.models import copy_models
from tests.support.session import Words
from tests.support.tools import free_port, tool

pytestmark = pytest.mark.tools
STACK, REGION, ALIAS = "prod", "eu-central-1", "alias/stellwerk"
KEY = f"awskms://{ALIAS}?region={REGION}"


@pytest.fixture
def kms() -> Iterator[Any]:
    """A client of the service, which has a key of that alias."""
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    client = boto3.Session("owner", "owner", region_name=REGION).client("kms", endpoint_url=f"http://127.0.0.1:{port}")
    client.create_alias(AliasName=ALIAS, TargetKeyId=client.create_key()["KeyMetadata"]["KeyId"])
    yield client
    server.stop()


@pytest.fixture
def engine(kms: Any, tmp_path: Path) -> Engine:
    """The real one, without a passphrase; its environment keeps its secrets with the key."""
    write_stacks(tmp_path)
    copy_models(tmp_path)
    values = whole_values(STACK) | {
        "secretsProvider": KEY,
        "registry": {
            "mode": "external", "kind": "ecr", "address": f"111122223333.dkr.ecr.{REGION}.amazonaws.com/stellwerk"
        },
        "objectStore": {
            "mode": "external", "bucket": "models", "region": REGION, "pathStyle": False, "identity": "podIdentity"
        },
    }  # fmt: skip
    stack_file = tmp_path / "stacks" / f"Pulumi.{STACK}.yaml"
    stack_file.write_text(yaml.safe_dump({"config": {f"stellwerk:{key}": value for key, value in values.items()}}))
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    (tmp_path / "backend").mkdir()
    variables = {
        "PATH": os.pathsep.join([str(tool("pulumi").parent), os.environ["PATH"]]), "HOME": str(tmp_path),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/backend", "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true", "AWS_ACCESS_KEY_ID": "engineer", "AWS_SECRET_ACCESS_KEY": "engineer",
        "AWS_ENDPOINT_URL_KMS": kms.meta.endpoint_url,
    }  # fmt: skip
    return Engine(tmp_path, variables)


def test_credentials_are_encrypted_with_the_key_and_read_by_nobody_without_it(
    engine: Engine, kms: Any, words: Words
) -> None:
    local = LocalCluster(lambda: engine.variables, lambda _: None, lambda: None)
    session = Session(Project(engine.root), engine.variables, local)
    init(session, STACK, words.console)
    written = yaml.safe_load((engine.root / "stacks" / f"Pulumi.{STACK}.yaml").read_text())
    assert written["secretsprovider"] == KEY and written["encryptedkey"]
    assert "encryptionsalt" not in written, "a passphrase is in play"
    made = engine.credentials(STACK)
    assert "BEGIN" in made["caKey"] and "BEGIN" not in str(written["config"]["stellwerk:credentials"])
    again = (engine.root / "stacks" / f"Pulumi.{STACK}.yaml").read_text()
    init(Session(Project(engine.root), engine.variables, local), STACK, words.console)
    assert (engine.root / "stacks" / f"Pulumi.{STACK}.yaml").read_text() == again
    # As in another account: it has no such key.
    assert httpx.post(f"{kms.meta.endpoint_url}/moto-api/reset", trust_env=False, timeout=60).is_success
    with pytest.raises(DeliveryError, match="KMS: Decrypt"):
        engine.credentials(STACK)
