"""Data contract, held-out split and digest of the training data.

Needs NumPy and scikit-learn only, so that tests and load generators use the very same held-out rows.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

HELD_OUT_ONE_IN = 5


@dataclass(frozen=True)
class Contract:
    """What a data set promises: `features` float32 columns in [`minimum`, `maximum`], labels 0 .. `classes` - 1."""

    name: str
    features: int
    minimum: float
    maximum: float
    classes: int


@dataclass(frozen=True)
class Split:
    """Rows of one part: `inputs` float32 [n, features], `labels` int64 [n]."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """A checked data set, its two disjoint parts, and the digest (``sha256:<hex>``) of its content."""

    contract: Contract
    train: Split
    held_out: Split
    digest: str


def check(contract: Contract, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Raise TrainingError, naming column and value, where the rows break the contract."""
    where = f"data set {contract.name!r}"
    if inputs.ndim != 2 or inputs.shape[1] != contract.features:
        raise TrainingError(f"{where}: expected inputs of shape [n, {contract.features}], got {list(inputs.shape)}")
    if labels.shape != inputs.shape[:1] or not len(labels):
        raise TrainingError(f"{where}: expected one label per row, got {list(labels.shape)} for {len(inputs)} rows")
    bad = ~((inputs >= contract.minimum) & (inputs <= contract.maximum))
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        raise TrainingError(
            f"{where}: row {row}, column {column} is {float(inputs[row, column])!r};"
            f" allowed is {contract.minimum} to {contract.maximum}"
        )
    missing = set(range(contract.classes)) - set(np.unique(labels).tolist())
    if missing or labels.min() < 0 or labels.max() >= contract.classes:
        raise TrainingError(
            f"{where}: labels must be 0 to {contract.classes - 1} and each must occur;"
            f" got {labels.min()} to {labels.max()}, missing {sorted(missing)}"
        )


def digest(contract: Contract, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> str:
    """Return ``sha256:<hex>`` over name, shape and little-endian content, the same on every platform."""
    state = hashlib.sha256(f"{contract.name} {inputs.shape[0]}x{inputs.shape[1]}\n".encode())
    state.update(np.ascontiguousarray(inputs, dtype="<f4").tobytes())
    state.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    return f"sha256:{state.hexdigest()}"


def split(contract: Contract, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> Dataset:
    """Check the rows and part them by the hash of each row.

    A row's part depends on its content alone: it stays where it is when rows are added, and equal rows never
    stand on both sides. About one row in five is held out.
    """
    check(contract, inputs, labels)
    held_out = np.fromiter(
        (
            int.from_bytes(hashlib.sha256(row.astype("<f4").tobytes()).digest()[:4]) % HELD_OUT_ONE_IN == 0
            for row in inputs
        ),
        dtype=np.bool_,
        count=len(inputs),
    )
    return Dataset(
        contract=contract,
        train=Split(inputs[~held_out], labels[~held_out]),
        held_out=Split(inputs[held_out], labels[held_out]),
        digest=digest(contract, inputs, labels),
    )


def column_statistics(inputs: NDArray[np.float32]) -> dict[str, list[float]]:
    """Return mean and standard deviation of each column, to measure drift against."""
    wide = inputs.astype(np.float64)
    return {"mean": np.round(wide.mean(axis=0), 6).tolist(), "std": np.round(wide.std(axis=0), 6).tolist()}


def _digits() -> Dataset:
    # scikit-learn takes a second to import, and only this data set needs it.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    contract = Contract(name="digits", features=64, minimum=0.0, maximum=16.0, classes=10)
    return split(contract, bunch.data.astype(np.float32), bunch.target.astype(np.int64))


LOADERS: dict[str, Callable[[], Dataset]] = {"digits": _digits}


def load(name: str = "digits") -> Dataset:
    """Return the data set `name`; digits are 1,797 images of 8 x 8 grey values 0 to 16.

    Raise TrainingError when the name is unknown or the rows break the contract.
    """
    if name not in LOADERS:
        raise TrainingError(f"unknown data set {name!r}; known are: {', '.join(LOADERS)}")
    return LOADERS[name]()
