"""A table of numbers, texts and truth values, and what an adapter of tables has to do with a model fitted on it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.training.test_data import MODEL as SMALL
from training.document import Column, Model
from training.export import Parity, answers_of, canonical, compare
from training.frameworks import Adapter

AGE, YEARS = Column("age", "FP32", missing=True), Column("years", "INT64")
REGION, MEMBER = Column("region", "BYTES", (1,), missing=True), Column("member", "BOOL", (1,))
NUMBERS = (AGE, YEARS, MEMBER)
COLUMNS = (AGE, YEARS, REGION, MEMBER)


def document(
    task: str, classes: int | None = None, inputs: tuple[Column, ...] = COLUMNS, shape: tuple[int, ...] = ()
) -> Model:
    """A model of one output."""
    outputs = (Column("answer", "FP32", shape),)
    return replace(SMALL, task=task, target=Column("kind", "INT64", classes=classes), inputs=inputs, outputs=outputs)


def rows(count: int, inputs: tuple[Column, ...] = COLUMNS, first: int = 1) -> dict[str, Any]:
    """Rows of the table, in which ages and regions are missing."""
    random = np.random.default_rng(first)
    age = random.uniform(16, 70, count).astype(np.float32)
    age[::7] = np.nan
    every = {
        "age": age,
        "years": random.integers(0, 40, count),
        "region": np.array(["north", "south", ""], object)[random.integers(0, 3, (count, 1))],
        "member": random.random((count, 1)) < 0.5,
    }
    return {column.name: every[column.name] for column in inputs}


def values(given: dict[str, Any]) -> Any:
    """What the models learn, a number that depends on every column."""
    from_region = np.where(given["region"][:, 0] == "north", 20, 0) if "region" in given else 0
    return np.nan_to_num(given["age"], nan=45) + given["years"] * (1 + given["member"][:, 0]) + from_region


def classes(given: dict[str, Any], count: int) -> Any:
    """The values parted into classes of equal size."""
    wanted = values(given)
    return np.searchsorted(np.quantile(wanted, np.linspace(0, 1, count + 1)[1:-1]), wanted)


def exported(adapter: Adapter, fitted: Any, model: Model, folder: Path) -> bytes:
    """The exported file, as training publishes it."""
    adapter.export(fitted, model, rows(2, model.inputs), folder / "model.onnx")
    return canonical((folder / "model.onnx").read_bytes(), model.name)


def parity(adapter: Adapter, fitted: Any, model: Model, folder: Path) -> Parity:
    """How far the exported file is from the model on one row, and on 2,500 that it was not fitted on."""
    content = exported(adapter, fitted, model, folder)
    for count in (1, 2500):
        given = rows(count, model.inputs, first=2)
        measured = compare(adapter.answers(fitted, model, given), answers_of(content, model, given))
    assert measured.rows == 2500
    return measured
