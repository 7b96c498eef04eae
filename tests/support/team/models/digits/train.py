"""Handwritten digits, for tests: least squares, in the form that tests/support/linear.py exports."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from tests.support.linear import Layer
from training.author import Rows, Run


def load() -> Mapping[str, NDArray[Any]]:
    bunch = load_digits()
    return {"pixels": bunch.data.astype(np.float32), "digit": bunch.target}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Layer:
    """A linear classifier on one-hot labels, good enough to pass the gates."""
    inputs = np.hstack([rows.inputs["pixels"], np.ones((len(rows), 1))])
    solution = np.linalg.lstsq(inputs, 8.0 * np.eye(10)[rows.target], rcond=None)[0].astype(np.float32)
    run.log("train_loss", 0.5, 1)
    return Layer(weight=solution[:-1], bias=solution[-1])
