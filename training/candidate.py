"""The candidate: everything a release says, but its number and its serving image, which the release adds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from training.data import Dataset, column_statistics
from training.document import Column, Model
from training.log import timestamp
from training.pipeline import Measured
from training.settings import Place, Request


@dataclass(frozen=True)
class StoredObject:
    """What stands in the bucket of models: `digest` ``sha256:<hex>``, `size` in bytes, `key`."""

    digest: str
    size: int
    key: str


@dataclass(frozen=True)
class RunReference:
    """Where the tracking server keeps the run."""

    experiment: str
    run_id: str
    model_version: str


@dataclass(frozen=True)
class Published:
    """What the run has stored: the model's file, the files beside it by name, the first `rows` held-out rows."""

    artefact: StoredObject
    examples: StoredObject
    rows: int
    files: Mapping[str, StoredObject] = field(default_factory=dict)


def build(
    request: Request, place: Place, dataset: Dataset, published: Published, run: RunReference, measured: Measured
) -> dict[str, Any]:
    """Return the candidate as it is stored."""
    model, parity = request.model, measured.parity
    return {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Candidate",
        "model": model.name,
        "created": timestamp(),
        "artefact": {
            "format": "onnx",
            **asdict(published.artefact),
            "files": [{"name": name, **asdict(stored)} for name, stored in published.files.items()],
        },
        "training": {
            "image": place.image,
            "job": place.job,
            "parameters": dict(request.parameters),
            "commit": place.commit,
        },
        "data": {
            "name": dataset.name,
            "digest": dataset.digest,
            **({"source": dataset.source} if dataset.source else {}),
            "rows": {"train": len(dataset.train), "heldOut": len(dataset.held_out)},
        },
        "run": {"experiment": run.experiment, "runId": run.run_id, "modelVersion": run.model_version},
        "interface": {
            "inputs": [_tensor(column) for column in model.inputs],
            "outputs": [_tensor(column) for column in model.outputs],
        },
        "evaluation": {
            "task": model.task,
            "metrics": measured.metrics,
            "own": list(measured.own),
            "intervals": {name: list(ends) for name, ends in measured.intervals.items()},
            "gates": [asdict(gate) for gate in measured.gates],
            "parity": {"maxAbsDifference": parity.max_abs_difference, "rows": parity.rows},
        },
        "reference": {"inputs": _statistics(model, dataset)},
        "examples": {**asdict(published.examples), "rows": published.rows},
        "requirements": list(request.requirements),
        **({"hooks": model.hooks} if model.hooks else {}),
    }


def _tensor(column: Column) -> dict[str, Any]:
    return {"name": column.name, "datatype": column.datatype, "shape": [-1, *column.shape]}


def _statistics(model: Model, dataset: Dataset) -> dict[str, Any]:
    """Return the statistics of each input of numbers; texts and truth values have no mean."""
    return {
        column.name: column_statistics(dataset.train.inputs[column.name])
        for column in model.inputs
        if column.datatype not in ("BOOL", "BYTES")
    }
