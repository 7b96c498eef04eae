"""From data to a measured model: fit, export, hold the exported file against the trained model, measure it.

What a training Job runs, and what runs anywhere else: it needs neither cluster nor store nor tracking server.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import data, evaluation, examples, export, metrics, workers
from training.author import Author, Rows, Run, read_author
from training.data import Dataset
from training.document import Model, read_model
from training.errors import GateError, TrainingError
from training.evaluation import GateResult
from training.export import Parity
from training.exported import MODEL_FILE, Exported, read_exported
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
    """What training makes: the exported files, their answers to the held-out rows by output, what was measured."""

    exported: Exported
    answers: Mapping[str, NDArray[Any]]
    measured: Measured

    @property
    def content(self) -> bytes:
        """Return the model's file."""
        return self.exported.path.read_bytes()


def make(
    model: Model,
    author: Author,
    framework: Adapter,
    dataset: Dataset,
    parameters: Mapping[str, int | float],
    run: Run,
    folder: Path,
) -> Product:
    """Return the trained, exported and measured model, its files in `folder`; gates that are missed are in it.

    The same seed (the parameter `seed`, 0 without one) gives the same file on the same device type and library
    versions. Raise TrainingError on what the user can put right.
    """
    author.hooks.require_declared(model)
    fitted = workers.fit(author, framework, dataset.train, parameters, run)
    asked = export_and_ask(model, author, framework, fitted, dataset, folder)
    # What is measured is the file that will be served, not the model it came from.
    given = file_answers(model, author, asked.files, asked.decoded)
    parity = export.compare(asked.trained, given)
    answers = encoded(model, author, asked.files, given)
    return Product(asked.files, answers, measure(model, author, answers, dataset.held_out, parity))


@dataclass(frozen=True)
class Asked:
    """The exported files, the file's inputs of the held-out rows, and what the trained model itself answers to them."""

    files: Exported
    decoded: export.Answers
    trained: export.Answers


def export_and_ask(
    model: Model, author: Author, framework: Adapter, fitted: Any, dataset: Dataset, folder: Path
) -> Asked:
    """Export the model into an empty folder, and ask the trained one; raise TrainingError as `export_fitted` does."""
    # Files that `decode` reads are written by the author's own export. Otherwise the export comes last: an exporter
    # may change the model.
    first = author.export is not None and author.hooks.decode is not None
    files = export_fitted(model, author, framework, fitted, dataset.train, folder) if first else None
    decoded = decode(model, author, dataset.held_out.inputs, folder)
    trained = framework.answers(fitted, model.exported, decoded)
    files = files or export_fitted(model, author, framework, fitted, dataset.train, folder)
    return Asked(files, decoded, trained)


def export_fitted(model: Model, author: Author, framework: Adapter, fitted: Any, rows: Rows, folder: Path) -> Exported:
    """Return the model as ONNX in an empty folder, and what the author's `export` has written beside it.

    The model's file has the same bytes for the same weights. The exporter is shown some of `rows`, of which there are
    two at least. Raise TrainingError where it cannot be exported.
    """
    path = folder / MODEL_FILE
    if author.export:
        author.export(fitted, path)
    else:
        sample = {name: values[_SAMPLE] for name, values in rows.inputs.items()}
        framework.export(fitted, model.exported, author.hooks.decoded(model, sample, folder), path)
    files = read_exported(folder)
    export.make_canonical(files.path, model.name)
    return files


def decode(model: Model, author: Author, inputs: export.Answers, folder: Path) -> export.Answers:
    """Return the exported file's inputs, the rows in batches as requests have them."""
    if author.hooks.decode is None:
        return inputs
    return _in_batches(lambda batch: author.hooks.decoded(model, batch, folder), inputs)


def file_answers(model: Model, author: Author, files: Exported, decoded: export.Answers) -> export.Answers:
    """Return what the exported file answers, or the author's `predict` instead of it."""
    if author.hooks.predict is None:
        return export.answers_of(files.path, model.exported, decoded)
    return _in_batches(lambda batch: author.hooks.predicted(model, batch, files.path.parent), decoded)


def encoded(model: Model, author: Author, files: Exported, given: export.Answers) -> export.Answers:
    """Return what is answered, of the exported file's answers."""
    if author.hooks.encode is None:
        return given
    return _in_batches(lambda batch: author.hooks.encoded(model, batch, files.path.parent), given)


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
    `model/model.onnx` and those beside it, `examples.json` and `evaluation.json`. Raise TrainingError as a Job does,
    GateError for a missed gate.
    """
    model, author = read_model(folder), read_author(folder)
    dataset = data.load(model, author)
    run = Run(device, lambda metric, value, step: emit("info", f"step {step}: {metric} {value:.6g}"))
    given = model.defaults | dict(parameters or {})
    place = output / "model"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    product = make(model, author, adapter(model.framework), dataset, given, run, place)
    (output / "examples.json").write_bytes(examples.build(model, dataset, product.answers))
    evaluated = asdict(product.measured) | {"data": {"digest": dataset.digest}}
    (output / "evaluation.json").write_text(json.dumps(evaluated, indent=2) + "\n", encoding="utf-8")
    require_gates(model, product.measured)
    return product
