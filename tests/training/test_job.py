"""A training Job: what it stores, registers, tracks, and refuses to."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from infra.contract.candidate import Candidate, contradictions, release_of
from tests.support import linear
from tests.support.linear import Layer
from tests.support.models import MODELS, training_data, training_model
from tests.training.conftest import BUCKET, RecordingTracker
from training.author import Author, read_author
from training.errors import GateError, TrainingError
from training.job import Job, run
from training.publish import digest_of
from training.settings import Place, Request

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SCHEMAS = Path(__file__).parents[2] / "infra" / "contract" / "schemas"
CANDIDATE = "candidates/digits/train-digits-1.json"
AUTHOR = read_author(MODELS / "digits")
Make = Callable[[Author], Job]


@pytest.fixture
def job(place: Place, tracker: RecordingTracker, store: "S3Client") -> Make:
    request = Request(training_model(), training_model().defaults, ("REQ-7",))
    return lambda author: Job(request, place, author, linear, training_data(), tracker, store)


def fitting(change: Callable[[Layer], Layer]) -> Author:
    return replace(AUTHOR, fit=lambda *given: change(AUTHOR.fit(*given)))


def keys(store: "S3Client") -> list[str]:
    return [entry["Key"] for entry in store.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def read(store: "S3Client", key: str) -> bytes:
    return store.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def validate(document: Any, kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(document)))


def test_the_candidate_is_stored_registered_and_tracked(
    job: Make, tracker: RecordingTracker, store: "S3Client"
) -> None:
    outcome = run(job(AUTHOR))
    document, content = outcome.candidate, read(store, CANDIDATE)
    assert json.loads(content) == document
    assert outcome.digest == digest_of(content)
    assert tracker.finished == document
    assert tracker.recorded == document["evaluation"]["metrics"]
    assert tracker.logged == [("train_loss", 0.5, 1)]
    assert tracker.failure is None
    ((artefact, bucket),) = tracker.registered
    assert (bucket, artefact.digest) == (BUCKET, document["artefact"]["digest"])


@pytest.mark.parametrize("what", ["artefact", "examples"])
def test_what_is_stored_is_what_the_candidate_says(what: str, job: Make, store: "S3Client") -> None:
    stated = run(job(AUTHOR)).candidate[what]
    content = read(store, stated["key"])
    assert (digest_of(content), len(content)) == (stated["digest"], stated["size"])
    if what == "examples":
        validate(json.loads(content), "examples-v1")


def test_files_beside_the_model_are_published_and_become_the_releases(job: Make, store: "S3Client") -> None:
    def export(model: Layer, path: Path) -> None:
        linear.write_external(model, path, "weights.bin")
        (path.parent / "vocabulary.txt").write_text("zero one")

    document = run(job(replace(AUTHOR, export=export))).candidate
    validate(document, "candidate-v1")
    candidate = Candidate.model_validate_json(json.dumps(document))
    assert contradictions(candidate, "digits", "train-digits-1") == []
    release = release_of(candidate, f"v1-{candidate.artefact.digest[7:15]}", f"r.test/serving@sha256:{'2' * 64}")
    assert [file.name for file in release.artefact.files] == ["vocabulary.txt", "weights.bin"]
    for file in release.artefact.files:
        content = read(store, file.key)
        assert (digest_of(content), len(content)) == (file.digest, file.size)
    validate(release.model_dump(mode="json", by_alias=True, exclude_none=True), "release-v2")


def test_what_is_published_is_a_candidate_and_becomes_a_release(job: Make) -> None:
    document = run(job(AUTHOR)).candidate
    validate(document, "candidate-v1")
    candidate = Candidate.model_validate_json(json.dumps(document))
    assert contradictions(candidate, "digits", "train-digits-1") == []
    image = f"registry.test/serving@sha256:{'2' * 64}"
    release = release_of(candidate, f"v1-{candidate.artefact.digest[7:15]}", image)
    validate(release.model_dump(mode="json", by_alias=True, exclude_none=True), "release-v2")
    assert release.training and release.evaluation
    assert release.training.parameters == training_model().defaults
    assert document["interface"] == {
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}],
    }
    assert len(release.reference.inputs["pixels"].mean) == 64
    low, high = release.evaluation.intervals["accuracy"]
    assert low < release.evaluation.metrics["accuracy"] < high


def test_data_of_a_file_is_named_by_the_release(job: Make) -> None:
    made = job(AUTHOR)
    document = run(replace(made, dataset=replace(made.dataset, source="s3://models/data/digits.csv"))).candidate
    validate(document, "candidate-v1")
    candidate = Candidate.model_validate_json(json.dumps(document))
    release = release_of(candidate, f"v1-{candidate.artefact.digest[7:15]}", f"registry.test/serving@sha256:{'2' * 64}")
    assert release.data and release.data.source == "s3://models/data/digits.csv"


def test_a_model_that_misses_a_gate_is_not_published(job: Make, tracker: RecordingTracker, store: "S3Client") -> None:
    blind = fitting(lambda layer: replace(layer, weight=np.zeros_like(layer.weight)))
    with pytest.raises(GateError, match=r"not published: accuracy is 0\.\d+, must be >= 0\.85"):
        run(job(blind))
    assert keys(store) == []
    assert tracker.registered == []
    assert tracker.recorded["accuracy"] < 0.85
    assert tracker.failure is not None and "accuracy" in tracker.failure


def test_an_export_that_differs_from_the_model_is_not_published(
    job: Make, tracker: RecordingTracker, store: "S3Client"
) -> None:
    with pytest.raises(TrainingError, match="scores differs by"):
        run(job(fitting(lambda layer: replace(layer, error=0.01))))
    assert keys(store) == []
    assert tracker.failure is not None


def test_training_again_writes_no_second_artefact(
    job: Make, store: "S3Client", capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = run(job(AUTHOR)).candidate, run(job(AUTHOR)).candidate
    assert first["artefact"] == second["artefact"]
    assert first["examples"] == second["examples"]
    assert len(keys(store)) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    written = [line["message"] for line in lines if line["message"].startswith("artefact")]
    size = first["artefact"]["size"]
    assert [message.split(": ")[1] for message in written] == [
        f"{size} of {size} bytes written",
        f"0 of {size} bytes written",
    ]
