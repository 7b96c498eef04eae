"""Candidates: what a training Job publishes, from which a release is made."""

import json
from typing import Literal

from pydantic import Field

from infra.contract.artefact import ExampleRows, ModelFile, object_key
from infra.contract.evaluation import TrainedEvaluation
from infra.contract.fields import Digest, Name, PinnedImage, ReleaseId, Section
from infra.contract.problems import KeyPath, Problem
from infra.contract.provenance import Data, Run, Time, TrainingRecord
from infra.contract.reading import differing
from infra.contract.release import Interface, Reference, Release


class Candidate(Section):
    """What a training Job has published: everything a release says, but its number and its serving image."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Candidate"] = Field(description="Candidate")
    model: Name
    created: Time
    artefact: ModelFile
    training: TrainingRecord
    data: Data
    run: Run
    interface: Interface
    evaluation: TrainedEvaluation
    reference: Reference
    examples: ExampleRows
    requirements: tuple[str, ...] = Field(description="a list of requirement ids")
    hooks: Digest | None = Field(
        default=None, description="digest of the model's code around the file that it was measured with, if it has any"
    )


def key(model: str, job: str) -> str:
    """Return the key of a Job's candidate in the bucket of models."""
    return f"candidates/{model}/{job}.json"


def contradictions(candidate: Candidate, model: str, job: str, experiment: str | None = None) -> list[Problem]:
    """Return what the candidate says against itself, or against being the candidate of `job` and `model`.

    `experiment` is what its tracking server calls the model, where that is not its name.
    """
    expected: list[tuple[KeyPath, object, object]] = [
        (("model",), candidate.model, model),
        (("training", "job"), candidate.training.job, job),
        (("run", "experiment"), candidate.run.experiment, experiment or model),
        (("artefact", "key"), candidate.artefact.key, object_key(model, candidate.artefact.digest, "onnx")),
        (("examples", "key"), candidate.examples.key, object_key(model, candidate.examples.digest, "json")),
        (("evaluation", "parity", "rows"), candidate.evaluation.parity.rows, candidate.data.rows.held_out),
        (("examples", "rows"), candidate.examples.rows, min(candidate.examples.rows, candidate.data.rows.held_out)),
    ]
    return differing(expected, "train again")


def release_of(candidate: Candidate, release: ReleaseId, serving_image: PinnedImage) -> Release:
    """Return the release that the candidate becomes with this id and this serving image."""
    left_out = {"api_version", "kind", "model", "created", "hooks"}
    parts = candidate.model_dump(mode="json", by_alias=True, exclude=left_out)
    metadata = {"model": candidate.model, "release": release, "created": candidate.created}
    document = {
        "apiVersion": "stellwerk.dev/v2",
        "kind": "Release",
        "metadata": metadata,
        "serving": {"image": serving_image, "hooks": candidate.hooks},
        **parts,
    }
    return Release.model_validate_json(json.dumps(document))
