"""Jobs, models and the command in AWS without a key: they are who their service account, or their login, says."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

import serving.fetch
import training.publish
from delivery.clients import store
from delivery.operations.init import init
from infra.contract.artefact import StoredObject
from serving.errors import StartError
from serving.settings import Fetch
from tests.support.checkout import Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Words

REGION, BUCKET, CONTENT = "eu-central-1", "example-models", b"model"
WANTED = training.publish.stored_object("example", CONTENT, ".onnx")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3")
STORE = {
    "mode": "external",
    "bucket": BUCKET,
    "region": REGION,
    "pathStyle": False,
    "identity": "irsa",
    "roles": {use: f"arn:aws:iam::123456789012:role/{use}" for use in ("writer", "reader")},
}
# What the cluster's stack gives to the reader; a test of the program holds it against this.
READS = ["s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "kms:Decrypt"]


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """S3, STS and IAM with a bucket, a role that reads, and a pod's variables of IRSA; the role's ARN."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("S3_ADDRESSING_STYLE", "virtual")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with mock_aws(config={"core": {"mock_credentials": False}}):
        owner = boto3.Session("owner", "owner", region_name=REGION)
        owner.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        iam = owner.client("iam")
        role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        allowed = [{"Effect": "Allow", "Action": READS, "Resource": ["*"]}]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        iam.put_role_policy(RoleName="reader", PolicyName="own", PolicyDocument=policy)
        token = tmp_path / "token"
        token.write_text("header.e30.signature")
        monkeypatch.setenv("AWS_ROLE_ARN", role)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        yield role


def test_a_job_publishes_and_a_model_fetches_as_their_roles(amazon: str, tmp_path: Path) -> None:
    job = training.publish.connect()
    assert training.publish.put_object(job, BUCKET, WANTED, CONTENT) == len(CONTENT)
    pod = serving.fetch.connect()
    assert pod.meta.endpoint_url == f"https://s3.{REGION}.amazonaws.com"
    wanted = Fetch(BUCKET, WANTED.key, WANTED.digest, tmp_path / "model" / "model.onnx")
    wanted.path.parent.mkdir()
    assert serving.fetch.fetch(pod, wanted) == len(CONTENT)
    assert wanted.path.read_bytes() == CONTENT


def test_who_reads_cannot_write(amazon: str, tmp_path: Path) -> None:
    boto3.Session("owner", "owner", region_name=REGION).client("s3").put_object(
        Bucket=BUCKET, Key=WANTED.key, Body=CONTENT
    )
    pod = serving.fetch.connect()
    # Taking the role is free; from then on policies count.
    set_initial_no_auth_action_count(1)(_asked)(pod, tmp_path)


def _asked(pod: object, folder: Path) -> None:
    wanted = Fetch(BUCKET, WANTED.key, WANTED.digest, folder / "model" / "model.onnx")
    wanted.path.parent.mkdir()
    assert serving.fetch.fetch(pod, wanted) == len(CONTENT)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="AccessDenied"):
        pod.put_object(Bucket=BUCKET, Key="other", Body=b"")  # type: ignore[attr-defined]


def test_other_content_is_refused_there_too(amazon: str, tmp_path: Path) -> None:
    owner = boto3.Session("owner", "owner", region_name=REGION).client("s3")
    owner.put_object(Bucket=BUCKET, Key=WANTED.key, Body=b"other")
    wanted = Fetch(BUCKET, WANTED.key, WANTED.digest, tmp_path / "model" / "model.onnx")
    wanted.path.parent.mkdir()
    with pytest.raises(StartError, match="digest"):
        serving.fetch.fetch(serving.fetch.connect(), wanted)


@pytest.mark.usefixtures("amazon")
def test_the_command_asks_the_store_as_who_one_is(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.edit("dev", lambda config: config.update(objectStore=STORE))
    init(bench.session(), "dev", words.console)
    assert "objectStore" not in json.loads(pulumi.secrets["dev"])
    owner = boto3.Session("owner", "owner", region_name=REGION).client("s3")
    owner.put_object(Bucket=BUCKET, Key=WANTED.key, Body=CONTENT)
    artefact = StoredObject.model_validate({"digest": WANTED.digest, "size": len(CONTENT), "key": WANTED.key})
    with bench.session().store("dev") as opened:
        assert opened.name == f"object store of dev (S3 in {REGION})"
        assert store.holds(opened, artefact)


def test_a_stack_is_made_with_the_key_that_the_values_name(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    key = "awskms://alias/stellwerk?region=eu-central-1"
    project.edit("dev", lambda config: config.update(secretsProvider=key))
    init(bench.session(), "dev", words.console)
    (made,) = [command for command in pulumi.commands if command[:2] == ("stack", "init")]
    assert made[-2:] == ("--secrets-provider", key)
