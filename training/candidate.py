"""The candidate: everything a release says, but its number and its serving image, which the release adds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.data import Dataset, column_statistics
from training.evaluation import GateResult
from training.export import Parity
from training.log import timestamp
from training.settings import Request, Surroundings

INPUT = "pixels"
OUTPUT = "scores"


@dataclass(frozen=True)
class Artefact:
    """An exported file: `digest` ``sha256:<hex>``, `size` in bytes, `key` in the bucket of models."""

    digest: str
    size: int
    key: str


@dataclass(frozen=True)
class RunReference:
    """Where the tracking server keeps the run."""

    experiment: str
    run_id: str
    model_version: str


def build(
    request: Request,
    surroundings: Surroundings,
    dataset: Dataset,
    artefact: Artefact,
    run: RunReference,
    metrics: dict[str, float],
    gates: Sequence[GateResult],
    parity: Parity,
) -> dict[str, Any]:
    """Return the candidate as it is stored."""
    contract = dataset.contract
    return {
        "model": request.model,
        "created": timestamp(),
        "artefact": {"format": "onnx", **asdict(artefact)},
        "training": {
            "image": surroundings.image,
            "job": surroundings.job,
            "parameters": request.hyperparameters.as_parameters(),
            "commit": surroundings.commit,
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
            "metrics": metrics,
            "gates": [asdict(gate) for gate in gates],
            "parity": {"maxAbsDifference": parity.max_abs_difference, "rows": parity.rows},
        },
        "reference": {"inputs": {INPUT: column_statistics(dataset.train.inputs)}},
        "requirements": list(request.requirements),
    }
