"""The customers are as the document says, and the pipeline learns who cancels."""

from pathlib import Path

import numpy as np
import pytest

from training.author import Rows, Run, read_author

AUTHOR = read_author(Path(__file__).resolve().parents[1])


def rows() -> Rows:
    columns = dict(AUTHOR.load())
    target = columns.pop("cancels")
    return Rows(columns, target, {})


def test_some_calls_are_missing_and_both_answers_occur() -> None:
    customers = rows()
    assert 0.05 < np.isnan(customers.inputs["calls"]).mean() < 0.15
    assert 0.2 < customers.target.mean() < 0.8


def test_the_pipeline_learns() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is in the model's image, not in this environment")
    customers = rows()
    pipeline = AUTHOR.fit(customers, {"regularisation": 1.0}, Run("cpu", lambda *_: None))
    assert pipeline.score(pandas.DataFrame(dict(customers.inputs)), customers.target) > 0.8
