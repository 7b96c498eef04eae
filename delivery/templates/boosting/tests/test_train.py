"""The hours are as the document says, and the trees learn what a building needs."""

from pathlib import Path

import numpy as np
import pytest

from training.author import Rows, Run, read_author

AUTHOR = read_author(Path(__file__).resolve().parents[1])


def rows() -> Rows:
    columns = dict(AUTHOR.load())
    target = columns.pop("needed")
    return Rows(columns, target, {})


def test_cold_hours_need_more() -> None:
    hours = rows()
    cold = hours.inputs["temperature"] < 0
    assert hours.target[cold].mean() > hours.target[~cold].mean() + 10


def test_the_trees_learn() -> None:
    pytest.importorskip("xgboost", reason="XGBoost is in the model's image, not in this environment")
    import pandas

    parameters = {"trees": 50, "depth": 4, "learning_rate": 0.2, "seed": 7}
    trees = AUTHOR.fit(rows(), parameters, Run("cpu", lambda *_: None))
    answers = trees.predict(pandas.DataFrame(dict(rows().inputs)))
    assert np.abs(answers - rows().target).mean() < 4
