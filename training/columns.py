"""The data contract: each column held against what the model's document says of it, before training starts."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.document import Column, Model
from training.errors import TrainingError

# NumPy's types by those of the Open Inference Protocol v2; texts are objects, empty where one is missing: neither ONNX
# nor the protocol has another way to say so.
DTYPES: Mapping[str, type] = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_,
}  # fmt: skip


def check(model: Model, given: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return all columns, those of the document with its data types.

    Raise TrainingError with every rule that is broken, in how many rows, and the first one.
    """
    named = {column.name: column for column in (*model.inputs, model.target)}
    columns = {name: np.asarray(values) for name, values in given.items()}
    wanted = [*named, *filter(None, [model.held_out.column]), *model.slices]
    problems = [f"{name}: `load` gives no such column; it gives {', '.join(given)}" for name in wanted
                if name not in given]  # fmt: skip
    rows = {name: len(values) if values.ndim else 0 for name, values in columns.items()}
    if len(set(rows.values())) != 1 or 0 in rows.values():
        problems.append(f"all columns need as many rows, and one at least; they have {rows}")
    if not problems:
        for column in named.values():
            problems += _check(column, columns)
        problems += _check_classes(model.target, columns[model.target.name])
        if model.held_out.column:
            problems += _check_deciding(model.held_out.column, columns[model.held_out.column])
    if problems:
        raise TrainingError(f"data of {model.name}: {'; '.join(problems)}; correct the data, or the model's document")
    return columns


def _check(column: Column, columns: dict[str, NDArray[Any]]) -> Iterator[str]:
    """Yield what is wrong with a column, and put it back with its data type."""
    values = columns[column.name]
    wanted, shape = np.dtype(DTYPES[column.datatype]), list(values.shape[1:])
    if len(shape) != len(column.shape) or any(b not in (-1, a) for a, b in zip(shape, column.shape, strict=True)):
        yield f"{column.name}: a row has the shape {shape}, the document says {list(column.shape)}"
        return
    if not np.can_cast(values.dtype, wanted, "same_kind") or wanted.hasobject != (values.dtype.kind in "OU"):
        yield f"{column.name}: it is of type {values.dtype}, the document says {column.datatype}"
        return
    columns[column.name] = cast = values.astype(wanted) if wanted.kind != "O" else _texts(values)
    if wanted.kind in "iu":
        yield from _rows(column, values, cast != values, f"beyond {column.datatype}")
    for broken, rule in _broken(column, cast):
        yield from _rows(column, values, broken, rule)


def _broken(column: Column, values: NDArray[Any]) -> Iterator[tuple[Any, str]]:
    """Yield where a rule of the document is broken, and the rule in words."""
    missing = np.zeros(values.shape, np.bool_)
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        yield np.isinf(values), "not finite"
    elif values.dtype.kind == "O":
        yield _each(lambda value: not isinstance(value, str), values), "no text"
        missing = values == ""
    if not column.missing:
        yield missing, "missing"
    if column.minimum is not None:
        yield values < column.minimum, f"below the minimum {column.minimum:g}"
    if column.maximum is not None:
        yield values > column.maximum, f"above the maximum {column.maximum:g}"
    if column.categories is not None:
        known = np.isin(values, np.array(column.categories, values.dtype))
        yield ~(known | missing), f"none of {', '.join(map(str, column.categories))}"


def _texts(values: NDArray[Any]) -> NDArray[Any]:
    """Return texts as objects, None as the empty one."""
    return _each(lambda value: "" if value is None else value, values)


def _each(function: Callable[[Any], Any], values: NDArray[Any]) -> NDArray[Any]:
    changed: NDArray[Any] = np.frompyfunc(function, 1, 1)(values.astype(np.object_))
    return changed


def _rows(column: Column, values: NDArray[Any], broken: Any, rule: str) -> Iterator[str]:
    """Yield the rule, in how many rows it is broken, and the first one, if there is one."""
    broken = np.asarray(broken, np.bool_)
    rows = np.flatnonzero(broken.reshape(len(values), -1).any(axis=1))
    if len(rows):
        first = values[rows[0]][broken[rows[0]]] if values.ndim > 1 else values[rows[:1]]
        yield f"{column.name}: {len(rows)} of {len(values)} rows, row {rows[0]} is the first: {first[0]} is {rule}"


def _check_deciding(name: str, values: NDArray[Any]) -> Iterator[str]:
    """Yield the rows in which the column that decides what is held out says nothing."""
    if values.ndim > 1:
        yield f"{name}: it decides what is held out, and needs one value a row, not {list(values.shape[1:])}"
    elif values.dtype.kind in "OU":
        missing = _each(lambda value: value is None or value == "" or value != value, values)
        yield from _rows(Column(name, "BYTES"), values, missing, "missing, and it decides what is held out")
    elif values.dtype.kind in "fM":
        missing = np.isnan(values) if values.dtype.kind == "f" else np.isnat(values)
        yield from _rows(Column(name, "FP64"), values, missing, "missing, and it decides what is held out")


def _check_classes(target: Column, values: NDArray[Any]) -> Iterator[str]:
    if target.classes is None:
        return
    absent = sorted(set(range(target.classes)) - set(values.tolist()))
    if absent:
        yield f"{target.name}: no row has the class {', '.join(map(str, absent))}"
    outside = (values < 0) | (values >= target.classes)
    yield from _rows(target, values, outside, f"no class, which are 0 to {target.classes - 1}")
