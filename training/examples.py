"""Examples: held-out rows with labels and the exported model's answers, published beside the artefact."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data import Dataset
from training.document import Column, Model

# More rows would only make the document large: nobody compares accuracies by it then.
MOST_ROWS = 1000


def rows_of(dataset: Dataset) -> int:
    """Return how many held-out rows are published: all of them, or the first thousand."""
    return min(len(dataset.held_out), MOST_ROWS)


def build(model: Model, dataset: Dataset, answers: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the document as it is stored; equal rows and answers give equal bytes.

    `answers` are the exported model's to all held-out rows, by output.
    """
    rows = dataset.held_out.of(slice(rows_of(dataset)))
    document = {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Examples",
        "model": model.name,
        "inputs": _values(model.inputs, rows.inputs),
        "outputs": _values(model.outputs, {name: values[: len(rows)] for name, values in answers.items()}),
        "labels": _plain(rows.target),
    }
    return json.dumps(document, allow_nan=False).encode()


def _values(columns: Sequence[Column], values: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "datatype": column.datatype,
            "shape": list(values[column.name].shape),
            "data": _plain(values[column.name].reshape(-1)),
        }
        for column in columns
    ]


def _plain(values: NDArray[Any]) -> Any:
    """Return the values as JSON has them; those that are missing as null."""
    plain = values.astype(object)
    if values.dtype.kind == "f":
        plain[np.isnan(values)] = None
    return plain.tolist()
