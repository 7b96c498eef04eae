"""The candidate: everything a release says, but its number and its serving image, which the release adds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.data import Dataset, column_statistics
from training.evaluation import GateResult
from training.export import Parity
from training.log import timestamp
from training.settings import Place, Request

INPUT = "pixels"
OUTPUT = "scores"


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
class Measured:
    """What was measured on the held-out rows, with the exported file."""

    metrics: dict[str, float]
    gates: Sequence[GateResult]
    parity: Parity


@dataclass(frozen=True)
class Published:
    """What the run has stored: the artefact, and the first `rows` held-out rows as examples."""

    artefact: StoredObject
    examples: StoredObject
    rows: int


def build(
    request: Request, place: Place, dataset: Dataset, published: Published, run: RunReference, measured: Measured
) -> dict[str, Any]:
    """Return the candidate as it is stored."""
    contract, parity = dataset.contract, measured.parity
    return {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Candidate",
        "model": request.model.name,
        "created": timestamp(),
        "artefact": {"format": "onnx", **asdict(published.artefact)},
        "training": {
            "image": place.image,
            "job": place.job,
            "parameters": dict(request.parameters),
            "commit": place.commit,
        },
        "data": {
            "name": contract.name,
            "digest": dataset.digest,
            "rows": {"train": len(dataset.train.labels), "heldOut": len(dataset.held_out.labels)},
        },
        "run": {"experiment": run.experiment, "runId": run.run_id, "modelVersion": run.model_version},
        "interface": {
            "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, contract.features]}],
            "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, contract.classes]}],
        },
        "evaluation": {
            "metrics": measured.metrics,
            "gates": [asdict(gate) for gate in measured.gates],
            "parity": {"maxAbsDifference": parity.max_abs_difference, "rows": parity.rows},
        },
        "reference": {"inputs": {INPUT: column_statistics(dataset.train.inputs)}},
        "examples": {**asdict(published.examples), "rows": published.rows},
        "requirements": list(request.requirements),
    }
