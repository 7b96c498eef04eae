"""A recording tracker, the place of a run, and an object store in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from training.candidate import RunReference, StoredObject
from training.document import Column, HeldOut, Model
from training.settings import Place

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "models"
MODEL = Model(
    name="small",
    description="three numbers and a text",
    framework="pytorch",
    task="binary-classification",
    inputs=(Column("numbers", "FP32", (3,)), Column("colour", "BYTES")),
    outputs=(Column("odds", "FP32"),),
    target=Column("label", "INT64", classes=2),
    held_out=HeldOut(0.2, "row", None),
    source=None,
    digest=None,
    slices=(),
    parameters=(),
    gates=(),
    requirements=(),
)


@dataclass
class RecordingTracker:
    logged: list[tuple[str, float, int]] = field(default_factory=list)
    recorded: dict[str, float] = field(default_factory=dict)
    registered: list[tuple[StoredObject, str]] = field(default_factory=list)
    finished: dict[str, Any] | None = None
    failure: str | None = None

    def log(self, metric: str, value: float, step: int) -> None:
        self.logged.append((metric, value, step))

    def metrics(self, metrics: dict[str, float]) -> None:
        self.recorded = metrics

    def register(self, artefact: StoredObject, bucket: str) -> RunReference:
        self.registered.append((artefact, bucket))
        return RunReference(experiment="digits", run_id="run-1", model_version=str(len(self.registered)))

    def finish(self, candidate: dict[str, Any]) -> None:
        self.finished = candidate

    def fail(self, reason: str) -> None:
        self.failure = reason


@pytest.fixture
def tracker() -> RecordingTracker:
    return RecordingTracker()


@pytest.fixture
def place() -> Place:
    return Place(
        tracking_uri="https://tracking.test",
        bucket=BUCKET,
        job="train-digits-1",
        image=f"registry.test/model-digits@sha256:{'1' * 64}",
        commit="0123456789abcdef0123456789abcdef01234567",
        device="cpu",
    )


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> "Iterator[S3Client]":
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client
