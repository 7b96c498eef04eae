"""From data to candidate, with a linear network in place of PyTorch's."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import onnxruntime
import pytest

from infra.contract.candidate import Candidate, contradictions, release_of
from infra.contract.examples import Examples
from tests.support.models import defaults, training_models
from tests.training.conftest import BUCKET, Network, RecordingTracker, fit
from training.data import Dataset, Split
from training.errors import GateError, TrainingError
from training.examples import build, rows_of
from training.pipeline import Fit, Job, run
from training.publish import digest_of
from training.settings import Place, Request

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SCHEMAS = Path(__file__).parents[2] / "infra" / "contract" / "schemas"
CANDIDATE = "candidates/digits/train-digits-1.json"


@pytest.fixture
def job(digits: Dataset, place: Place, tracker: RecordingTracker, store: "S3Client") -> Callable[[Fit], Job]:
    request = Request(training_models()["digits"], defaults("digits"), ("REQ-7",))
    return lambda chosen: Job(request, place, digits, chosen, tracker, store)


def keys(store: "S3Client") -> list[str]:
    return [entry["Key"] for entry in store.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def read(store: "S3Client", key: str) -> bytes:
    return store.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def blind(dataset: Dataset, parameters: Mapping[str, int | float], device: str, on_epoch: Any) -> Network:
    network = fit(dataset, parameters, device, on_epoch)
    layer = network.layers[0]
    layer.weight[:] = 0
    return Network((layer,), np.tile(layer.bias, (len(dataset.held_out.labels), 1)))


def drifting(dataset: Dataset, parameters: Mapping[str, int | float], device: str, on_epoch: Any) -> Network:
    network = fit(dataset, parameters, device, on_epoch)
    return Network(network.layers, network.held_out_scores + np.float32(0.01))


def test_the_candidate_is_stored_registered_and_tracked(
    job: Callable[[Fit], Job], tracker: RecordingTracker, store: "S3Client"
) -> None:
    outcome = run(job(fit))
    document, content = outcome.candidate, read(store, CANDIDATE)
    assert json.loads(content) == document
    assert outcome.digest == digest_of(content)
    assert tracker.finished == document
    assert tracker.recorded == document["evaluation"]["metrics"]
    assert tracker.losses == [0.5]
    assert tracker.failure is None
    ((artefact, bucket),) = tracker.registered
    assert (bucket, artefact.digest) == (BUCKET, document["artefact"]["digest"])


def test_the_artefact_is_what_the_candidate_says(job: Callable[[Fit], Job], digits: Dataset, store: "S3Client") -> None:
    document = run(job(fit)).candidate
    content = read(store, document["artefact"]["key"])
    assert digest_of(content) == document["artefact"]["digest"]
    assert len(content) == document["artefact"]["size"]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (given,), (returned,) = session.get_inputs(), session.get_outputs()
    (wanted,), (promised,) = document["interface"]["inputs"], document["interface"]["outputs"]
    assert (given.name, given.shape[1]) == (wanted["name"], wanted["shape"][1])
    assert (returned.name, returned.shape[1]) == (promised["name"], promised["shape"][1])
    scores = session.run(None, {given.name: digits.held_out.inputs})[0]
    accuracy = float((scores.argmax(axis=1) == digits.held_out.labels).mean())
    assert accuracy == document["evaluation"]["metrics"]["accuracy"]


def validate(document: Any, kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}-v1.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(document)))


def test_what_is_published_is_a_candidate_and_becomes_a_release(job: Callable[[Fit], Job]) -> None:
    document = run(job(fit)).candidate
    validate(document, "candidate")
    candidate = Candidate.model_validate_json(json.dumps(document))
    assert contradictions(candidate, "digits", "train-digits-1") == []
    image = f"registry.test/serving@sha256:{'2' * 64}"
    release = release_of(candidate, f"v1-{candidate.artefact.digest[7:15]}", image)
    validate(release.model_dump(mode="json", by_alias=True), "release")
    assert release.training.parameters == defaults("digits")


def test_the_examples_are_the_held_out_rows_with_the_exported_models_answers(
    job: Callable[[Fit], Job], digits: Dataset, store: "S3Client"
) -> None:
    stated = run(job(fit)).candidate["examples"]
    content = read(store, stated["key"])
    assert (stated["digest"], stated["size"]) == (digest_of(content), len(content))
    validate(json.loads(content), "examples")
    examples = Examples.model_validate_json(content)
    (rows,), (scores,) = examples.inputs, examples.outputs
    assert stated["rows"] == examples.rows == len(digits.held_out.labels)
    assert examples.labels == tuple(digits.held_out.labels)
    assert np.array_equal(np.array(rows.data, np.float32).reshape(rows.shape), digits.held_out.inputs)
    network = fit(digits, {}, "cpu", lambda *_: None)
    assert np.allclose(np.array(scores.data).reshape(scores.shape), network.held_out_scores, atol=1e-4)


def test_of_many_held_out_rows_the_first_thousand_are_published(digits: Dataset) -> None:
    many = Split(np.tile(digits.held_out.inputs, (3, 1)), np.tile(digits.held_out.labels, 3))
    dataset = replace(digits, held_out=many)
    document = json.loads(build("digits", dataset, ("a", "b"), np.zeros((len(many.labels), 10), np.float32)))
    assert len(many.labels) > rows_of(dataset) == len(document["labels"]) == 1000
    assert [values["shape"] for key in ("inputs", "outputs") for values in document[key]] == [[1000, 64], [1000, 10]]


def test_a_model_that_misses_a_gate_is_not_published(
    job: Callable[[Fit], Job], tracker: RecordingTracker, store: "S3Client"
) -> None:
    with pytest.raises(GateError, match=r"not published: accuracy is 0\.\d+, must be >= 0\.85"):
        run(job(blind))
    assert keys(store) == []
    assert tracker.registered == []
    assert tracker.recorded["accuracy"] < 0.85
    assert tracker.failure is not None and "accuracy" in tracker.failure


def test_an_export_that_differs_from_the_network_is_not_published(
    job: Callable[[Fit], Job], tracker: RecordingTracker, store: "S3Client"
) -> None:
    with pytest.raises(TrainingError, match="scores differ by"):
        run(job(drifting))
    assert keys(store) == []
    assert tracker.failure is not None


def test_training_again_writes_no_second_artefact(
    job: Callable[[Fit], Job], store: "S3Client", capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = run(job(fit)).candidate, run(job(fit)).candidate
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
