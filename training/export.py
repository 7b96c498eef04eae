"""The exported file: the same bytes for the same model, what it answers, and the proof that these are the model's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from training.columns import DTYPES
from training.document import Column, Model
from training.errors import TrainingError

PARITY_TOLERANCE = 1e-4
# So many rows at once: all held-out ones might need more memory than the Job has.
BATCH = 1000
Answers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Parity:
    """Largest absolute difference between the trained model's answers and the exported file's, over `rows` rows."""

    max_abs_difference: float
    rows: int


def canonical(content: bytes, name: str) -> bytes:
    """Return the file without what a frame of the program, a path or a version has left in it.

    Equal weights then have equal bytes. Raise TrainingError when the file is no valid ONNX model.
    """
    with _refused():
        stripped = _stripped(content, name)
        onnx.checker.check_model(onnx.load_model_from_string(stripped), full_check=True)
    return stripped


def make_canonical(path: Path, name: str) -> None:
    """Do the same to a file in its place, whose tensors may be in files beside it, which stay as they are."""
    with _refused():
        path.write_bytes(_stripped(path.read_bytes(), name))
        onnx.checker.check_model(path, full_check=True)


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, DecodeError) as error:
        raise TrainingError(f"export: the file is no valid ONNX model: {error}") from error


def _stripped(content: bytes, name: str) -> bytes:
    model = onnx.load_model_from_string(content)
    for graph in (model.graph, *model.functions):
        _strip(graph)
    model.graph.name = name
    # Shapes of what is in between: made of the exporter's own counters, and inferred again by whoever loads it.
    del model.graph.value_info[:]
    model.producer_name, model.producer_version, model.domain = "stellwerk", "", ""
    for field in (model.metadata_props, model.training_info):
        del field[:]
    model.doc_string = ""
    stripped: bytes = model.SerializeToString(deterministic=True)
    return stripped


def _strip(graph: Any) -> None:
    """Remove comments and metadata of a graph or function, and of the graphs inside its nodes."""
    _uncomment(graph)
    for field in ("input", "output", "initializer"):
        for item in getattr(graph, field):
            # A function's inputs and outputs are names alone.
            if not isinstance(item, str):
                _uncomment(item)
    for node in graph.node:
        _uncomment(node)
        for attribute in node.attribute:
            attribute.doc_string = ""
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _strip(inner)


def _uncomment(item: Any) -> None:
    item.doc_string = ""
    del item.metadata_props[:]


def batches(inputs: Answers) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the inputs some rows at a time."""
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, BATCH):
        yield {name: values[start : start + BATCH] for name, values in inputs.items()}


def require_interface(file: bytes | Path, model: Model) -> None:
    """Raise TrainingError when the inputs and outputs of the file are not those of the model's document."""
    _require_interface(_session(file, model), model)


def answers_of(file: bytes | Path, model: Model, inputs: Answers) -> dict[str, NDArray[Any]]:
    """Return what ONNX Runtime computes from the exported file, by output.

    Raise TrainingError when the file's inputs and outputs are not those of the model's document, or it does not run.
    """
    session = _session(file, model)
    _require_interface(session, model)
    names = [column.name for column in model.outputs]
    with _running(model):
        parts = [session.run(names, dict(batch)) for batch in batches(inputs)]
    return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}


def _session(file: bytes | Path, model: Model) -> Any:
    options = onnxruntime.SessionOptions()
    # What it would write to standard error is raised, too.
    options.log_severity_level = 4
    # By its path it finds the files beside it.
    source = file if isinstance(file, bytes) else str(file)
    with _running(model):
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


@contextmanager
def _running(model: Model) -> Iterator[None]:
    try:
        yield
    # ONNX Runtime's exceptions share no base class but Exception.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"export: ONNX Runtime does not run the exported file of {model.name}: {reason}") from error


def _require_interface(session: Any, model: Model) -> None:
    for side, given, wanted in (
        ("inputs", session.get_inputs(), model.inputs),
        ("outputs", session.get_outputs(), model.outputs),
    ):
        stated = [(value.name, _datatype(value.type), _open(value.shape)) for value in given]
        expected = [(column.name, column.datatype, [-1, *column.shape]) for column in wanted]
        if stated != expected:
            raise TrainingError(
                f"export: the {side} of the exported file are {_words(stated)}, the model's document says "
                f"{_words(expected)}; change the one or the other"
            )


def _datatype(onnx_type: str) -> str:
    """Return the data type for ONNX Runtime's `tensor(float)`; its own word where there is none."""
    kind = onnx_type.removeprefix("tensor(").removesuffix(")")
    names = {"float": "FP32", "double": "FP64", "float16": "FP16", "string": "BYTES"}
    named = names.get(kind, kind.upper())
    return named if named in DTYPES else onnx_type


def _open(shape: Sequence[int | str | None]) -> list[int]:
    """Return a shape with -1 for a size that is open."""
    return [size if isinstance(size, int) else -1 for size in shape]


def _words(tensors: Sequence[tuple[str, str, list[int]]]) -> str:
    return ", ".join(f"{name} {datatype} {shape}" for name, datatype, shape in tensors)


def compare(trained: Answers, exported: Answers) -> Parity:
    """Return how far the two models' answers, by output, are apart.

    Raise TrainingError when numbers differ by more than 1e-4, relative to those larger than 1, or texts at all.
    """
    largest = 0.0
    for name, values in trained.items():
        other = exported[name]
        if values.shape != other.shape:
            raise TrainingError(
                f"export: {name}: the trained model answers {list(values.shape)}, the exported one {list(other.shape)}"
            )
        difference, allowed = _difference(values, other)
        # Written so that a NaN fails too.
        if not difference <= allowed:
            raise TrainingError(
                f"export: {name} differs by {difference:g} from the trained model's, allowed is {allowed:g}"
            )
        largest = max(largest, difference)
    return Parity(max_abs_difference=largest, rows=len(values))


def _difference(trained: NDArray[Any], exported: NDArray[Any]) -> tuple[float, float]:
    """Return the largest difference, and the largest that is allowed."""
    if trained.dtype == object:
        return float((trained != exported).any()), 0.0
    wide = trained.astype(np.float64)
    return (
        float(np.abs(wide - exported.astype(np.float64)).max()),
        PARITY_TOLERANCE * max(1.0, float(np.abs(wide).max())),
    )


def named(model: Model, answers: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return a model's answers by output; raise TrainingError when they are more or fewer than the document names."""
    wanted: tuple[Column, ...] = model.outputs
    if len(answers) != len(wanted):
        raise TrainingError(
            f"the trained model answers with {len(answers)} values, the document names the outputs "
            f"{', '.join(column.name for column in wanted)}"
        )
    return {column.name: values for column, values in zip(wanted, answers, strict=True)}
