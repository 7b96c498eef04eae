"""What a model could know beforehand of its held-out rows is said, or refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import MODEL
from training.data import Dataset, dataset
from training.document import Column, HeldOut
from training.errors import TrainingError

DAY = np.arange(400)
LABEL = DAY // 3 % 2


def made(given: dict[str, Any], by: HeldOut = MODEL.held_out) -> Dataset:
    model = replace(
        MODEL,
        inputs=(Column("size", "FP32"), Column("colour", "BYTES")),
        target=Column("label", "INT64", classes=2),
        held_out=by,
    )
    return dataset(
        model, {"size": DAY, "colour": np.array(["red", "blue"])[DAY % 2], "label": LABEL, "day": DAY} | given
    )


def test_data_without_leakage_has_no_notes() -> None:
    assert made({}).notes == ()
    assert made({}, HeldOut(0.2, "time", "day")).notes == ()


def test_an_input_that_is_the_target_is_refused() -> None:
    with pytest.raises(TrainingError, match="the input size is the target label in all 400 rows; remove it"):
        made({"size": LABEL})


def test_an_input_that_nearly_is_the_target_is_told() -> None:
    nearly = LABEL.copy()
    nearly[:3] = 7
    assert made({"size": nearly}).notes[0] == "the input size is the target label in 397 of 400 rows"
    nearly[:40] = 7
    assert "the input size" not in " ".join(made({"size": nearly}).notes)


def test_widths_and_types_of_numbers_do_not_hide_the_target() -> None:
    model = replace(MODEL, inputs=(Column("size", "FP32"),), target=Column("price", "FP64"), task="regression")
    price = DAY / 10
    with pytest.raises(TrainingError, match="the input size is the target price in all 400 rows"):
        dataset(model, {"size": price, "price": price})
    digit = replace(model, inputs=(Column("size", "BOOL"),), target=Column("price", "INT64"))
    assert dataset(digit, {"size": DAY % 10 > 0, "price": DAY % 10}).notes == ()


def test_held_out_rows_that_are_trained_on_are_told() -> None:
    """By row equal rows stand together; by time they need not."""
    again = {"size": DAY % 330, "colour": np.full(400, "red"), "label": DAY % 330 % 2}
    assert made(again).notes == ()
    (note,) = made(again, HeldOut(0.2, "time", "day")).notes
    assert note.startswith("70 of 80 held-out rows are among the rows to train on, too")


@pytest.mark.parametrize("by", ["group", "time"])
def test_what_decides_the_split_is_known_of_every_row(by: str) -> None:
    day = DAY.astype(float)
    day[5] = np.nan
    with pytest.raises(TrainingError, match="day: 1 of 400 rows, row 5 is the first: nan is missing, and it decides"):
        made({"day": day}, HeldOut(0.2, by, "day"))
    text = np.array([f"g{number % 40}" for number in DAY], object)
    text[7] = None
    with pytest.raises(TrainingError, match="day: 1 of 400 rows, row 7 is the first: None is missing"):
        made({"day": text}, HeldOut(0.2, by, "day"))
