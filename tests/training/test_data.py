"""The parts of a data set, and its digest."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.models import training_data
from tests.training.conftest import MODEL
from training.data import Dataset, column_statistics, dataset, digest
from training.document import Column, HeldOut
from training.errors import TrainingError

RANDOM = np.random.default_rng(0)
GIVEN = {
    "numbers": RANDOM.random((200, 3)),
    "colour": np.array(["red", "blue"])[np.arange(200) % 2],
    "label": np.arange(200) // 2 % 2,
    "patient": np.array([f"p{number}" for number in np.arange(200) // 5]),
    "day": np.datetime64("2026-01-01") + np.arange(200) // 3,
}


def parted(given: Mapping[str, Any] = GIVEN, **changed: Any) -> Dataset:
    return dataset(replace(MODEL, **changed), given)


def rows(part: Any) -> set[bytes]:
    return {row.tobytes() for row in part.inputs["numbers"]}


def some(which: Any) -> dict[str, Any]:
    return {name: values[which] for name, values in GIVEN.items()}


def test_the_split_of_before_stays() -> None:
    """A fifth of the rows by content: what is divisible by five, as ever."""
    held_out = training_data().held_out.inputs["pixels"]
    assert (len(training_data().train), len(held_out)) == (1423, 374)
    assert held_out.dtype == np.float32
    assert set(training_data().held_out.target) == set(range(10))
    assert not {row.tobytes() for row in training_data().train.inputs["pixels"]} & {row.tobytes() for row in held_out}


def test_rows_keep_their_part_when_others_come_before_them() -> None:
    before, after = rows(parted(some(slice(100, None))).held_out), rows(parted().held_out)
    assert before and before <= after


def test_a_larger_share_holds_the_smaller_one() -> None:
    larger = parted(held_out=HeldOut(0.5, "row", None)).held_out
    assert rows(parted().held_out) < rows(larger)
    assert 70 < len(larger) < 130


def test_a_group_stands_on_one_side() -> None:
    made = parted(held_out=HeldOut(0.3, "group", "patient"))
    assert not set(made.train.columns["patient"]) & set(made.held_out.columns["patient"])
    assert len(made.train) + len(made.held_out) == 200


def test_the_latest_rows_are_held_out_by_time() -> None:
    made = parted(held_out=HeldOut(0.2, "time", "day"))
    assert made.train.columns["day"].max() < made.held_out.columns["day"].min()
    assert 40 <= len(made.held_out) < 43


def test_a_part_without_rows_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"[01] of 1 rows are held out"):
        parted(some(slice(1)) | {"label": np.array([0])}, target=Column("label", "INT64"))


def test_categories_are_classes_by_their_places() -> None:
    given = GIVEN | {"label": np.array(["yes", "no"])[GIVEN["label"]]}
    made = parted(given, target=Column("label", "BYTES", categories=("yes", "no")))
    assert np.array_equal(made.train.target, parted().train.target)


def test_the_digest_is_of_every_name_type_and_value() -> None:
    columns = {name: np.asarray(values) for name, values in some(slice(3)).items()}
    numbers = columns["numbers"].copy()
    numbers[0, 0] += 1
    changed = [
        columns | {"numbers": numbers},
        columns | {"colour": np.array(["red", "blue", "green"])},
        columns | {"colour": np.array(["redb", "lue", "red"])},
        columns | {"label": columns["label"].astype(np.int32)},
        columns | {"colour": np.array(["red", None, "red"], object)},
        columns | {"colour": np.array(["red", "", "red"], object)},
        {name: values for name, values in columns.items() if name != "day"},
        columns | {"date": columns["day"]},
    ]
    digests = {digest(columns), *map(digest, changed)}
    assert len(digests) == len(changed) + 1
    assert digest(dict(reversed(columns.items()))) == digest(columns), "the order of columns does not matter"
    assert digest(columns | {"numbers": columns["numbers"].astype(">f8")}) == digest(columns)


def test_a_pinned_digest_refuses_other_data() -> None:
    pinned = parted().digest
    assert parted(digest=pinned).digest == pinned
    with pytest.raises(TrainingError, match=f"digest is sha256:.*, the model's document pins {pinned}"):
        parted(some(slice(199)), digest=pinned)


def test_statistics_leave_out_what_is_missing() -> None:
    values = np.array([[1.0, np.nan], [3.0, 4.0]], np.float32)
    assert column_statistics(values) == {"mean": [2.0, 4.0], "std": [1.0, 0.0]}
