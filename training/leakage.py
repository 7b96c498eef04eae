"""Leakage: what a model could know in training of what it is measured with."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.document import Model
from training.errors import TrainingError

# An input that says the answer but in a few rows is hardly one that is known beforehand.
_NEARLY = 0.99


def require_inputs(model: Model, columns: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """Yield the inputs that nearly are the target; raise TrainingError for one that is.

    `columns` are all rows, as the document says of them.
    """
    target = columns[model.target.name]
    for column in model.inputs:
        equal = _equal(columns[column.name], target)
        share = float(equal.mean()) if len(equal) else 0.0
        if share == 1:
            raise TrainingError(
                f"data of {model.name}: the input {column.name} is the target {model.target.name} in all "
                f"{len(target)} rows; remove it from the inputs: it is not known when the model is asked"
            )
        if share >= _NEARLY:
            rows = int(equal.sum())
            yield f"the input {column.name} is the target {model.target.name} in {rows} of {len(target)} rows"


def _equal(values: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
    """Return in which rows a column has the value of the target; empty where the two are not comparable."""
    if values.reshape(len(values), -1).shape != target.reshape(len(target), -1).shape:
        return np.zeros(0, np.bool_)
    if (values.dtype.kind == "O") != (target.dtype.kind == "O"):
        return np.zeros(0, np.bool_)
    if values.dtype.kind == target.dtype.kind == "f":
        # 0.1 in 32 bits is not 0.1 in 64.
        target = target.astype(values.dtype)
    same = values.reshape(len(values), -1) == target.reshape(len(target), -1)
    return np.asarray(same.all(axis=1), np.bool_)


def equal_rows(contents: Iterable[bytes], held_out: NDArray[np.bool_]) -> Iterator[str]:
    """Yield how many of the held-out rows are among those to train on, too; `contents` are inputs and target by row."""
    rows = [hashlib.blake2b(content, digest_size=16).digest() for content in contents]
    held = held_out.tolist()
    trained = {row for row, out in zip(rows, held, strict=True) if not out}
    both = sum(out and row in trained for row, out in zip(rows, held, strict=True))
    if both:
        yield f"{both} of {sum(held)} held-out rows are among the rows to train on, too: metrics say too much"
