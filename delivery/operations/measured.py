"""What the command measures by itself of a candidate's model: interface, answers to the examples, metrics, gates.

It runs no model's code. Where answers come through `serve.py`, the Job's answers to the examples are taken for the
model's, and metrics and gates are measured of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delivery.clients import store
from delivery.errors import DeliveryError
from delivery.operations import examples as rows
from delivery.operations import metrics as tasks
from delivery.operations.interfaces import Interface, interface_of
from delivery.operations.onnx_files import load_files
from infra.contract import model as models
from infra.contract.candidate import Candidate
from infra.contract.examples import Examples, Values
from infra.contract.release import Gate
from serving.errors import StartError
from serving.model import Model, ModelError

# Relative to answers larger than 1; training refuses an export that differs by more from the trained model.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Measured:
    """The model's real inputs and outputs, how far its answers are from the expected ones, and its metrics.

    `metrics` are this command's own where all held-out rows are published, else the Job's; `believed` are those that
    nobody but the Job has measured: of the model's own code.
    """

    interface: Interface
    difference: float
    allowed: float
    metrics: dict[str, float]
    believed: tuple[str, ...]


def measure(candidate: Candidate, folder: Path, source: store.Store, model: models.Model) -> Measured:
    """Return what the model in a folder really is and does; raise DeliveryError when it cannot be served or run."""
    job = candidate.training.job
    try:
        loaded = load_files(folder, candidate.artefact)
    except StartError as error:
        raise DeliveryError(
            f"candidate of {job}: its model cannot be served: {_short(error)}; nothing is released"
        ) from None
    examples = rows.load(source, candidate.examples)
    interface = interface_of(model if candidate.hooks else loaded)
    _require_fit(job, interface, examples)
    recorded = [rows.array(values) for values in examples.outputs]
    answers = recorded if candidate.hooks else _answers(job, loaded, examples)
    difference, allowed = difference_of(answers, recorded)
    metrics, own = dict(candidate.evaluation.metrics), _metrics(job, model, answers[0], examples)
    if examples.rows == candidate.data.rows.held_out:
        metrics |= own
    believed = tuple(sorted(metrics.keys() - own.keys()))
    return Measured(interface, difference, allowed, metrics, believed)


def _answers(job: str, loaded: Model, examples: Examples) -> list[NDArray[Any]]:
    """Return what the file answers to the example rows, in the order of their outputs."""
    try:
        return [np.asarray(one) for one in loaded.run(rows.inputs(examples), [each.name for each in examples.outputs])]
    except (ModelError, MemoryError) as error:
        raise DeliveryError(
            f"candidate of {job}: its model does not run on the example rows: {_short(error)}; nothing is released"
        ) from None


def _metrics(job: str, model: models.Model, answers: NDArray[Any], examples: Examples) -> dict[str, float]:
    """Return the task's metrics of the example rows; raise DeliveryError when answers and labels are not the task's."""
    try:
        return tasks.measure(model.task, answers, np.array(examples.labels))
    except ValueError as error:
        raise DeliveryError(
            f"candidate of {job}: its example rows are not those of a {model.task}: {error}; nothing is released; "
            "train again"
        ) from None


def _require_fit(job: str, interface: Interface, examples: Examples) -> None:
    """Raise DeliveryError unless the examples are of the model's inputs and outputs."""
    for side, stated in interface.items():
        tensors = {tensor["name"]: tensor for tensor in stated}
        given: tuple[Values, ...] = getattr(examples, side)
        fits = set(tensors) == {values.name for values in given} and all(
            values.datatype == tensors[values.name]["datatype"]
            and len(values.shape) == len(tensors[values.name]["shape"])
            for values in given
        )
        if not fits:
            raise DeliveryError(
                f"candidate of {job}: its example rows are not of the model's {side}, {', '.join(tensors)}; "
                "nothing is released; train again"
            )


def difference_of(answers: list[NDArray[Any]], expected: list[NDArray[Any]]) -> tuple[float, float]:
    """Return the largest difference between answers and expected answers, and the largest that is allowed."""
    if any(one.shape != other.shape for one, other in zip(answers, expected, strict=True)):
        return float("inf"), _TOLERANCE
    texts = [(one, other) for one, other in zip(answers, expected, strict=True) if one.dtype == object]
    if any((one != other).any() for one, other in texts):
        return float("inf"), _TOLERANCE
    pairs = [
        (one.astype(float), other.astype(float))
        for one, other in zip(answers, expected, strict=True)
        if one.dtype != object
    ]
    largest = max((float(np.abs(other).max()) for _, other in pairs), default=0.0)
    difference = max((float(np.abs(one - other).max()) for one, other in pairs), default=0.0)
    return difference, _TOLERANCE * max(1.0, largest)


def claims(candidate: Candidate, own: Measured, model: models.Model) -> list[tuple[str, Any, Any]]:
    """Return what the candidate claims beside the command's own measurement.

    Raise DeliveryError when a gate of the model's document is missed, whatever the candidate says.
    """
    if not own.difference <= own.allowed:
        raise DeliveryError(
            f"candidate of {candidate.training.job}: its model's answers to the example rows differ by "
            f"{own.difference:g} from those that the Job published, allowed is {own.allowed:g}; nothing is released"
        )
    missed = [
        f"{gate.metric} is {own.metrics.get(gate.metric, float('nan')):.4f}, must be {gate.operator} {gate.threshold}"
        for gate in model.gates
        if not gate.operator.holds(own.metrics.get(gate.metric, float("nan")), gate.threshold)
    ]
    if missed:
        raise DeliveryError(
            f"candidate of {candidate.training.job}: gates of models/{model.name}/{models.FILE} not passed, measured "
            f"by this command: {'; '.join(missed)}; nothing is released"
        )
    evaluation = candidate.evaluation
    stated = candidate.interface.model_dump(mode="json")
    return [
        *((f"interface.{side}", stated[side], own.interface[side]) for side in own.interface),
        ("data.source", candidate.data.source, model.data.source),
        ("data.digest", candidate.data.digest, model.data.digest or candidate.data.digest),
        ("evaluation.task", evaluation.task, model.task),
        ("evaluation.metrics", evaluation.metrics, own.metrics),
        ("evaluation.own", sorted(evaluation.own), list(own.believed)),
        ("evaluation.gates", _sorted(evaluation.gates), _sorted(model.gates)),
        (
            "the gates' values",
            {gate.metric: gate.value for gate in evaluation.gates},
            {gate.metric: own.metrics.get(gate.metric) for gate in evaluation.gates},
        ),
        ("the gates' results", [gate.passed for gate in evaluation.gates], [True] * len(evaluation.gates)),
        ("evaluation.parity within its limit", evaluation.parity.max_abs_difference <= own.allowed, True),
    ]


def _sorted(gates: Iterable[Gate | models.Gate]) -> list[tuple[str, str, float]]:
    return sorted((gate.metric, gate.operator.value, gate.threshold) for gate in gates)


def _short(error: Exception) -> str:
    """Return the message on one line, cut: ONNX Runtime repeats itself."""
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:399] + "…"
