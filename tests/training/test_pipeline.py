"""From data to candidate, with a linear network in place of PyTorch's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import onnxruntime
import pytest

from tests.training.conftest import BUCKET, Network, RecordingTracker, fit
from training.data import Dataset
from training.errors import GateError, TrainingError
from training.export import digest_of
from training.pipeline import Fit, Job, run
from training.settings import Hyperparameters, Request, Surroundings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SCHEMA = Path(__file__).parents[2] / "infra" / "contract" / "schemas" / "release-v1.schema.json"
CANDIDATE = "candidates/digits/train-digits-1.json"


@pytest.fixture
def job(digits: Dataset, around: Surroundings, tracker: RecordingTracker, store: "S3Client") -> Callable[[Fit], Job]:
    request = Request("digits", Hyperparameters(), ("REQ-7",))
    return lambda chosen: Job(request, around, digits, chosen, tracker, store)


def keys(store: "S3Client") -> list[str]:
    return [entry["Key"] for entry in store.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def blind(dataset: Dataset, hyperparameters: Hyperparameters, device: str, on_epoch: Any) -> Network:
    network = fit(dataset, hyperparameters, device, on_epoch)
    layer = network.layers[0]
    layer.weight[:] = 0
    return Network((layer,), np.tile(layer.bias, (len(dataset.held_out.labels), 1)))


def drifting(dataset: Dataset, hyperparameters: Hyperparameters, device: str, on_epoch: Any) -> Network:
    network = fit(dataset, hyperparameters, device, on_epoch)
    return Network(network.layers, network.held_out_scores + np.float32(0.01))


def test_the_candidate_is_stored_registered_and_tracked(
    job: Callable[[Fit], Job], tracker: RecordingTracker, store: "S3Client"
) -> None:
    document = run(job(fit))
    assert json.loads(store.get_object(Bucket=BUCKET, Key=CANDIDATE)["Body"].read()) == document
    assert tracker.finished == document
    assert tracker.recorded == document["evaluation"]["metrics"]
    assert tracker.losses == [0.5]
    assert tracker.failure is None
    ((artefact, bucket),) = tracker.registered
    assert (bucket, artefact.digest) == (BUCKET, document["artefact"]["digest"])


def test_the_artefact_is_what_the_candidate_says(job: Callable[[Fit], Job], digits: Dataset, store: "S3Client") -> None:
    document = run(job(fit))
    content = store.get_object(Bucket=BUCKET, Key=document["artefact"]["key"])["Body"].read()
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


def test_a_candidate_becomes_a_valid_release_by_number_and_image(job: Callable[[Fit], Job]) -> None:
    document = run(job(fit))
    model, created = document.pop("model"), document.pop("created")
    release = {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Release",
        "metadata": {"model": model, "release": f"v1-{document['artefact']['digest'][7:15]}", "created": created},
        "serving": {"image": f"registry.test/serving@sha256:{'2' * 64}"},
        **document,
    }
    jsonschema.validate(json.loads(json.dumps(release)), json.loads(SCHEMA.read_text()))


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
    first, second = run(job(fit)), run(job(fit))
    assert first["artefact"] == second["artefact"]
    assert len(keys(store)) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    written = [line["message"] for line in lines if line["message"].startswith("artefact")]
    size = first["artefact"]["size"]
    assert [message.split(": ")[1] for message in written] == [
        f"{size} of {size} bytes written",
        f"0 of {size} bytes written",
    ]
