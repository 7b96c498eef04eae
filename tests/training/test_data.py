"""The data contract, the split and the digest."""

import numpy as np
import pytest

from training.data import Contract, Dataset, check, load, split
from training.errors import TrainingError

SMALL = Contract(name="small", features=3, minimum=0.0, maximum=1.0, classes=2)
INPUTS = np.random.default_rng(0).random((200, 3)).astype(np.float32)
LABELS = (np.arange(200) % 2).astype(np.int64)


def test_digits_keep_their_digest_and_their_parts(digits: Dataset) -> None:
    assert digits.digest == "sha256:e9a67207c38e70a7af832aebe4a75733a197daa81da6829c7c86148ed360b7d2"
    assert digits.train.inputs.shape == (1423, 64)
    assert digits.held_out.inputs.shape == (374, 64)
    assert digits.train.inputs.dtype == np.float32
    assert digits.train.labels.dtype == np.int64
    assert set(digits.held_out.labels) == set(range(10))


def test_no_row_stands_on_both_sides(digits: Dataset) -> None:
    train = {row.tobytes() for row in digits.train.inputs}
    assert not train & {row.tobytes() for row in digits.held_out.inputs}


def test_rows_keep_their_part_when_others_come_before_them() -> None:
    before = {row.tobytes() for row in split(SMALL, INPUTS[100:], LABELS[100:]).held_out.inputs}
    after = {row.tobytes() for row in split(SMALL, INPUTS, LABELS).held_out.inputs}
    assert before
    assert before <= after


def test_the_digest_changes_with_one_value_and_with_one_label() -> None:
    inputs, labels = INPUTS.copy(), LABELS.copy()
    inputs[0, 0] = 1.0 - inputs[0, 0]
    labels[0] = 1 - labels[0]
    digests = {split(SMALL, INPUTS, LABELS).digest, split(SMALL, inputs, LABELS).digest}
    assert len(digests | {split(SMALL, INPUTS, labels).digest}) == 3


def test_a_value_out_of_range_is_named_by_row_and_column() -> None:
    inputs = INPUTS.copy()
    inputs[7, 2] = 1.5
    with pytest.raises(TrainingError, match=r"row 7, column 2 is 1\.5; allowed is 0\.0 to 1\.0"):
        check(SMALL, inputs, LABELS)


def test_a_value_that_is_not_a_number_is_refused() -> None:
    inputs = INPUTS.copy()
    inputs[3, 1] = np.nan
    with pytest.raises(TrainingError, match="row 3, column 1 is nan"):
        check(SMALL, inputs, LABELS)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (INPUTS[:, :2], LABELS, r"shape \[n, 3\], got \[200, 2\]"),
        (INPUTS, LABELS[:-1], "one label per row"),
        (INPUTS[:0], LABELS[:0], "one label per row"),
        (INPUTS, LABELS + 1, r"got 1 to 2, missing \[0\]"),
        (INPUTS, LABELS * 0, r"missing \[1\]"),
    ],
)
def test_broken_contracts_are_refused(inputs: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check(SMALL, inputs, labels)


def test_an_unknown_data_set_lists_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="'letters'; known are: digits"):
        load("letters")
