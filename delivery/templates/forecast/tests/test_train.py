"""Each row is a window of the series, and the next week is better forecast than by the last one."""

from pathlib import Path

import numpy as np
import pytest

from training.author import Rows, Run, read_author

AUTHOR = read_author(Path(__file__).resolve().parents[1])


def rows() -> Rows:
    columns = dict(AUTHOR.load())
    return Rows({"past": columns.pop("past")}, columns.pop("next"), columns)


def test_the_next_week_follows_the_past() -> None:
    first, later = rows().target[0], rows().inputs["past"][7]
    assert np.array_equal(first, later[-7:])


def test_it_is_better_than_last_week_again() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is in the model's image, not in this environment")
    every = rows()
    forecast = AUTHOR.fit(every, {"ridge": 1.0}, Run("cpu", lambda *_: None))
    with torch.no_grad():
        answers = forecast(torch.from_numpy(every.inputs["past"].copy())).numpy()
    naive = np.abs(every.inputs["past"][:, -7:] - every.target).mean()
    assert np.abs(answers - every.target).mean() < naive
