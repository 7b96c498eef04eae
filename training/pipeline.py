"""From data to a measured model: fit, export, hold the exported file against the trained model, measure it.

What a training Job runs, and what runs anywhere else: it needs neither cluster nor store nor tracking server.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
    author.hooks.require_declared(model)
    fitted = author.fit(dataset.train, parameters, run)
    held_out = dataset.held_out
    with tempfile.TemporaryDirectory(prefix="stellwerk-") as place:
        folder = Path(place)
        exported = export_fitted(model, author, framework, fitted, dataset, folder)
        # What is measured is the file that will be served, not the model it came from.
        given = file_answers(model, author, exported.content, exported.decoded, folder)
        parity = export.compare(exported.trained, given)
        answers = encoded(model, author, given, folder)
    return Product(exported.content, answers, measure(model, author, answers, held_out, parity))


@dataclass(frozen=True)
class Exported:
    """The exported file, its inputs of the held-out rows, and what the trained model itself answers to them."""

    content: bytes
    decoded: Mapping[str, NDArray[Any]]
    trained: Mapping[str, NDArray[Any]]


def export_fitted(
    model: Model, author: Author, framework: Adapter, fitted: Any, dataset: Dataset, folder: Path
) -> Exported:
    """Return the model as ONNX, the same bytes for the same weights, and ask the trained one.

    The file is in `folder`, too. Raise TrainingError where the model cannot be exported.
    """
    # Files that `decode` reads are written by the author's own export. Otherwise the export comes last: an exporter
    # may change the model.
    first = author.export is not None and author.hooks.decode is not None
    content = write_file(model, author, framework, fitted, dataset.train, folder) if first else b""
    decoded = decode(model, author, dataset.held_out.inputs, folder)
    trained = framework.answers(fitted, model.exported, decoded)
    if not first:
        content = write_file(model, author, framework, fitted, dataset.train, folder)
    return Exported(content, decoded, trained)


def write_file(model: Model, author: Author, framework: Adapter, fitted: Any, rows: Rows, folder: Path) -> bytes:
    """Write the exported file into `folder`, and return it.

    The exporter is shown some of `rows`, of which there are two at least.
    """
    path = folder / "model.onnx"
    if author.export:
        author.export(fitted, path)
    else:
        sample = {name: values[_SAMPLE] for name, values in rows.inputs.items()}
        framework.export(fitted, model.exported, author.hooks.decoded(model, sample, folder), path)
    if not path.is_file():
        raise TrainingError("`export` has not written the file that it was given the path of")
    content = export.canonical(path.read_bytes(), model.name)
    path.write_bytes(content)
    return content


def decode(model: Model, author: Author, inputs: Mapping[str, NDArray[Any]], folder: Path) -> export.Answers:
    """Return the exported file's inputs, the rows in batches as requests have them."""
    if author.hooks.decode is None:
        return inputs
    return _in_batches(lambda batch: author.hooks.decoded(model, batch, folder), inputs)


def file_answers(
    model: Model, author: Author, content: bytes, decoded: Mapping[str, NDArray[Any]], folder: Path
) -> export.Answers:
    """Return what the exported file answers, or the author's `predict` instead of it."""
    if author.hooks.predict is None:
        return export.answers_of(content, model.exported, decoded)
    return _in_batches(lambda batch: author.hooks.predicted(model, batch, folder), decoded)


def encoded(model: Model, author: Author, given: Mapping[str, NDArray[Any]], folder: Path) -> export.Answers:
    """Return what is answered, of the exported file's answers."""
    if author.hooks.encode is None:
        return given
    return _in_batches(lambda batch: author.hooks.encoded(model, batch, folder), given)


def _in_batches(function: Callable[[export.Answers], export.Answers], inputs: export.Answers) -> export.Answers:
    parts = [function(batch) for batch in export.batches(inputs)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
