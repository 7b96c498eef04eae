"""Examples: held-out rows with labels and the exported model's answers, published beside the artefact."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data import Dataset

# More rows would only make the document large: nobody compares accuracies by it then.
MOST_ROWS = 1000


def rows_of(dataset: Dataset) -> int:
    """Return how many held-out rows are published: all of them, or the first thousand."""
    return min(len(dataset.held_out.labels), MOST_ROWS)


def build(model: str, dataset: Dataset, names: tuple[str, str], scores: NDArray[np.float32]) -> bytes:
    """Return the document as it is stored; equal rows and answers give equal bytes.

    `names` are those of the model's input and output; `scores` are its answers to all held-out rows,
    float32 [n, classes].
    """
    rows = rows_of(dataset)
    document = {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Examples",
        "model": model,
        "inputs": [_values(names[0], dataset.held_out.inputs[:rows])],
        "outputs": [_values(names[1], scores[:rows])],
        "labels": dataset.held_out.labels[:rows].tolist(),
    }
    return json.dumps(document, allow_nan=False).encode()


def _values(name: str, values: NDArray[np.float32]) -> dict[str, Any]:
    return {"name": name, "datatype": "FP32", "shape": list(values.shape), "data": values.reshape(-1).tolist()}
