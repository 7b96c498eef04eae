"""From data to a measured model: fit, export, hold the exported file against the trained model, measure it.

What a training Job runs, and what runs anywhere else: it needs neither cluster nor store nor tracking server.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from training import data, evaluation, examples, export, metrics
from training.author import Author, Rows, Run, read_author
from training.data import Dataset
from training.document import Model, read_model
from training.errors import GateError, TrainingError
from training.evaluation import GateResult
from training.export import Parity
from training.frameworks import Adapter, adapter
from training.log import emit

# Two rows at least: an exporter takes a size of 1 for one that never changes.
_SAMPLE = slice(2)


@dataclass(frozen=True)
class Measured:
    """What was measured on the held-out rows, with the exported file.

    `own` are the metrics of the author's `evaluate` and of slices; `intervals` are of 95 % confidence.
    """

    metrics: dict[str, float]
    own: Sequence[str]
    intervals: dict[str, tuple[float, float]]
    gates: Sequence[GateResult]
    parity: Parity


@dataclass(frozen=True)
class Product:
    """What training makes: the exported file, its answers to the held-out rows by output, what was measured."""

    content: bytes
    answers: Mapping[str, NDArray[Any]]
    measured: Measured


def make(
    model: Model, author: Author, framework: Adapter, dataset: Dataset, parameters: Mapping[str, int | float], run: Run
) -> Product:
    """Return the trained, exported and measured model; gates that are missed are in it.

    The same seed (the parameter `seed`, 0 without one) gives the same file on the same device type and library
    versions. Raise TrainingError on what the user can put right.
    """
    framework.prepare(run.device, int(parameters.get("seed", 0)))
    fitted = author.fit(dataset.train, parameters, run)
    held_out = dataset.held_out
    trained = framework.answers(fitted, model, held_out.inputs)
    content = export_fitted(model, author, framework, fitted, dataset.train)
    # What is measured is the file that will be served, not the model it came from.
    answers = export.answers_of(content, model, held_out.inputs)
    parity = export.compare(trained, answers)
    return Product(content, answers, measure(model, author, answers, held_out, parity))


def export_fitted(model: Model, author: Author, framework: Adapter, fitted: Any, rows: Rows) -> bytes:
    """Return the model as ONNX, the same bytes for the same weights; raise TrainingError where it cannot be exported.

    The exporter is shown some of `rows`, of which there are two at least.
    """
    sample = {name: values[_SAMPLE] for name, values in rows.inputs.items()}
    with tempfile.TemporaryDirectory(prefix="stellwerk-") as folder:
        path = Path(folder) / "model.onnx"
        if author.export:
            author.export(fitted, path)
        else:
            framework.export(fitted, model, sample, path)
        if not path.is_file():
            raise TrainingError("`export` has not written the file that it was given the path of")
        return export.canonical(path.read_bytes(), model.name)


def measure(model: Model, author: Author, answers: Mapping[str, NDArray[Any]], rows: Rows, parity: Parity) -> Measured:
    """Return the metrics of the answers to `rows`, and the gates; raise TrainingError where one is not defined."""
    first = answers[model.outputs[0].name]
    measured = metrics.measure(model.task, first, rows.target)
    own = {name: float(value) for name, value in author.evaluate(answers, rows).items()} if author.evaluate else {}
    if taken := sorted(measured.keys() & own.keys()):
        raise TrainingError(
            f"`evaluate` gives {', '.join(taken)}: these are metrics of the task, measured here; name yours otherwise"
        )
    own |= metrics.slices(model.task, first, rows, model.slices)
    every = measured | own
    intervals = metrics.intervals(model.task, first, rows.target)
    return Measured(every, sorted(own), intervals, evaluation.apply_gates(model.gates, every), parity)


def require_gates(model: Model, measured: Measured) -> None:
    """Say how each gate came out; raise GateError naming each one that is missed."""
    for gate in measured.gates:
        emit("info" if gate.passed else "error", f"gate: {gate}", {"stellwerk.model": model.name})
    missed = [str(gate) for gate in measured.gates if not gate.passed]
    if missed:
        raise GateError(f"model {model.name!r} is not published: {'; '.join(missed)}")


def rehearse(
    folder: Path, output: Path, parameters: Mapping[str, int | float] | None = None, device: str = "cpu"
) -> Product:
    """Train the model of a folder as a Job would, and write what it would publish into `output`.

    `folder` has `model.json` and `train.py`; `parameters` are those that differ from their defaults. The files are
    `model.onnx`, `examples.json` and `evaluation.json`. Raise TrainingError as a Job does, GateError for a missed gate.
    """
    model, author = read_model(folder), read_author(folder)
    dataset = data.load(model, author)
    run = Run(device, lambda metric, value, step: emit("info", f"step {step}: {metric} {value:.6g}"))
    product = make(model, author, adapter(model.framework), dataset, model.defaults | dict(parameters or {}), run)
    output.mkdir(parents=True, exist_ok=True)
    (output / "model.onnx").write_bytes(product.content)
    (output / "examples.json").write_bytes(examples.build(model, dataset, product.answers))
    evaluated = asdict(product.measured) | {"data": {"digest": dataset.digest}}
    (output / "evaluation.json").write_text(json.dumps(evaluated, indent=2) + "\n", encoding="utf-8")
    require_gates(model, product.measured)
    return product
