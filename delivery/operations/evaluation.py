"""The evaluation of an imported model with rows that its owner gives: an examples document, or a table."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from delivery.errors import DeliveryError, system_errors
from delivery.operations import examples as rows
from delivery.operations import metrics as tasks
from delivery.operations.measured import difference_of
from delivery.operations.tables import examples_of
from infra.contract.columns import Target
from infra.contract.examples import Examples
from infra.contract.model import Models
from infra.contract.release import Task
from serving.model import ModelError, Runner


@dataclass(frozen=True)
class Evaluated:
    """What was measured, in the release's form, and the document of the rows it was measured with."""

    name: str
    content: bytes
    rows: int
    evaluation: dict[str, Any]


def evaluate(models: Models, model: str, loaded: Runner, file: Path | None, task: Task | None) -> Evaluated | None:
    """Return the task's metrics of a file's rows, and the gates of the model's document where there is one.

    Without a file there is nothing to measure: None. Raise DeliveryError when the rows are not the model's, when the
    answers are not the expected ones, or when a gate is missed.
    """
    document = models.load(model) if model in models.names() else None
    if file is None:
        return None
    known = document.task if document else task
    if known is None:
        raise DeliveryError(f"--examples need --task, as there is no {models.file(model)}; one of {', '.join(Task)}")
    if task not in (None, known):
        raise DeliveryError(f"--task {task}: {models.file(model)} says {known}; leave --task away")
    content, examples = read_rows(file, model, loaded, document.target if document else None)
    answers = answers_to(file, loaded, examples)
    difference, allowed = difference_of(answers, [rows.array(values) for values in examples.outputs])
    if not difference <= allowed:
        raise DeliveryError(
            f"{file}: the model's answers differ by {difference:g} from those in the file, allowed is {allowed:g}; "
            "nothing is imported"
        )
    metrics = metrics_of(file, known, answers, examples)
    gates = []
    for gate in document.gates if document else ():
        value = metrics.get(gate.metric, float("nan"))
        if not gate.operator.holds(value, gate.threshold):
            raise DeliveryError(
                f"{models.file(model)}: gate not passed: {gate.metric} is {value:.4f}, must be {gate.operator} "
                f"{gate.threshold}; nothing is imported"
            )
        gates.append({**gate.model_dump(mode="json"), "value": value, "passed": True})
    stated = {
        "task": known.value,
        "metrics": metrics,
        "gates": gates,
        # The answers of a table's rows are the model's own: there is nothing to compare them with.
        "parity": None if file.suffix == ".csv" else {"maxAbsDifference": difference, "rows": examples.rows},
    }
    return Evaluated(file.name, content, examples.rows, stated)


def read_rows(file: Path, model: str, loaded: Runner, target: Target | None) -> tuple[bytes, Examples]:
    """Return the rows of a table or of a document of examples, and that document as it is stored."""
    if file.suffix == ".csv":
        examples = examples_of(file, model, loaded, target)
        return examples.model_dump_json(by_alias=True).encode(), examples
    return _read(file, model)


def metrics_of(file: Path, task: Task, answers: list[Any], examples: Examples) -> dict[str, float]:
    """Return the task's metrics that have a value on these rows; r2 has none where all labels are equal."""
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            measured = tasks.measure(task, answers[0], np.array(examples.labels))
    except ValueError as error:
        raise DeliveryError(f"{file}: its rows are not those of a {task}: {error}; nothing is changed") from None
    return {name: value for name, value in measured.items() if isfinite(value)}


def _read(file: Path, model: str) -> tuple[bytes, Examples]:
    with system_errors("reading the examples", "name a file that exists and that you may read"):
        content = file.read_bytes()
    try:
        examples = Examples.model_validate_json(content)
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, detail["loc"])) or "the text" for detail in error.errors()[:5])
        raise DeliveryError(
            f"{file}: not a document of example rows, wrong: {keys}; its schema is examples-v1.schema.json"
        ) from None
    if examples.model != model:
        raise DeliveryError(f"{file}: its rows are of {examples.model}, not of {model}")
    return content, examples


def answers_to(file: Path, loaded: Runner, examples: Examples) -> list[Any]:
    """Return the model's answers by output; raise DeliveryError where the rows are not the model's."""
    for side in ("inputs", "outputs"):
        stated = {values.name: values.datatype.value for values in getattr(examples, side)}
        real = {tensor.name: tensor.datatype for tensor in getattr(loaded, side)}
        if stated != real:
            raise DeliveryError(f"{file}: its {side} are {stated}, the model's are {real}")
    try:
        outputs = [values.name for values in examples.outputs]
        return [np.asarray(answer) for answer in loaded.run(rows.inputs(examples), outputs)]
    except (ModelError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise DeliveryError(f"{file}: the model does not run on these rows: {reason}; nothing is changed") from None
