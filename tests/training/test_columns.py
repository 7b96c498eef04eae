"""The data contract: every rule is named with its column, how many rows break it, and the first one."""

from typing import Any

import numpy as np
import pytest

from tests.training.test_data import GIVEN, parted
from training.document import Column, HeldOut
from training.errors import TrainingError

NUMBERS = np.array(GIVEN["numbers"])


def with_value(value: float) -> Any:
    numbers = NUMBERS.copy()
    numbers[[7, 9], 2] = value
    return numbers


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (Column("numbers", "FP32", (3,), maximum=1), with_value(1.5), "numbers: 2 of 200 rows, row 7 .* 1.5 is above "),
        (Column("numbers", "FP32", (3,), minimum=0), with_value(-2), "row 7 is the first: -2.0 is below the minimum 0"),
        (Column("numbers", "FP32", (3,)), with_value(np.nan), "row 7 is the first: nan is missing"),
        (Column("numbers", "FP32", (3,)), with_value(np.inf), "row 7 is the first: inf is not finite"),
        (Column("numbers", "FP32", (2,)), NUMBERS, r"a row has the shape \[3\], the document says \[2\]"),
        (Column("numbers", "FP32"), NUMBERS, r"a row has the shape \[3\], the document says \[\]"),
        (Column("numbers", "INT64", (3,)), NUMBERS, "it is of type float64, the document says INT64"),
        (Column("numbers", "FP32"), np.array(["a"] * 200), "it is of type <U1, the document says FP32"),
        (Column("numbers", "BYTES"), np.zeros(200), "it is of type float64, the document says BYTES"),
        (Column("numbers", "INT8"), np.full(200, 128), "200 of 200 rows, row 0 is the first: 128 is beyond INT8"),
        (Column("numbers", "INT8", categories=(1, 2)), np.arange(200) % 3, "row 0 is the first: 0 is none of 1, 2"),
        (Column("numbers", "BYTES", categories=("a",)), np.array(["a"] * 199 + ["b"]), "row 199 .* b is none of a"),
        (Column("numbers", "BYTES"), np.array([None] + ["a"] * 199, object), "1 of 200 rows, .* None is missing"),
        (Column("numbers", "BYTES"), np.array([0.5] + ["a"] * 199, object), "1 of 200 rows, .* 0.5 is no text"),
    ],
)
def test_a_value_that_is_not_allowed(column: Column, values: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=f"data of small: .*{message}"):
        parted(GIVEN | {"numbers": values}, inputs=(column,))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Column("numbers", "FP32", (3,), missing=True), with_value(np.nan)),
        (Column("numbers", "FP64", (-1,), minimum=0, maximum=1), NUMBERS),
        (Column("numbers", "BYTES", missing=True, categories=("a",)), np.array([None] + ["a"] * 199, object)),
        (Column("numbers", "FP32"), np.arange(200)),
        (Column("numbers", "BOOL"), np.arange(200) % 2 == 0),
    ],
)
def test_a_value_that_is_allowed(column: Column, values: Any) -> None:
    assert parted(GIVEN | {"numbers": values}, inputs=(column, Column("colour", "BYTES"))).train.inputs["numbers"].size


def test_a_text_that_is_missing_is_the_empty_one() -> None:
    words = np.array([None, "", "a", "b"] * 50, object)
    inputs = (Column("words", "BYTES", missing=True), Column("numbers", "FP32", (3,)))
    dataset = parted(GIVEN | {"words": words}, inputs=inputs)
    assert sorted({*dataset.train.inputs["words"], *dataset.held_out.inputs["words"]}) == ["", "a", "b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": GIVEN["colour"]}, "numbers: `load` gives no such column; it gives colour"),
        (GIVEN | {"label": GIVEN["label"][:-1]}, "all columns need as many rows"),
        ({name: values[:0] for name, values in GIVEN.items()}, "and one at least"),
        (GIVEN | {"label": GIVEN["label"] * 0}, "label: no row has the class 1"),
        (GIVEN | {"label": GIVEN["label"] * 2}, "no row has the class 1; label: 100 of 200 rows, .* 2 is no class"),
    ],
)
def test_columns_that_do_not_fit_together(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        parted(given)


def test_the_columns_of_split_and_slices_have_to_be_there() -> None:
    with pytest.raises(TrainingError, match="region: `load` gives no such column"):
        parted(slices=("region",))
    with pytest.raises(TrainingError, match="ward: `load` gives no such column"):
        parted(held_out=HeldOut(0.2, "group", "ward"))


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(TrainingError, match=r"numbers: 200 of 200.*label: it is of type float64"):
        parted(GIVEN | {"numbers": NUMBERS * np.nan, "label": np.full(200, 0.5)})
