"""Wages: a logistic regression on numbers and texts, of which some are missing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.author import Rows, Run

PEOPLE = 4000
SCHOOLING = np.array(["school", "apprenticeship", "degree"], object)
REGIONS = np.array(["north", "east", "south", "west"], object)


def load() -> Mapping[str, NDArray[Any]]:
    """Return made-up people, and whether each wage is above the median; a tenth of ages and schooling is missing."""
    random = np.random.default_rng(5)
    age, hours = random.uniform(16, 70, PEOPLE), random.uniform(10, 50, PEOPLE)
    level, region = random.integers(0, 3, PEOPLE), random.integers(0, 4, PEOPLE)
    wage = (
        0.03 * age + 0.08 * hours + 1.2 * level + np.array([0.4, -0.6, 0.8, 0])[region] + random.normal(0, 0.6, PEOPLE)
    )
    schooling = SCHOOLING[level]
    schooling[random.random(PEOPLE) < 0.1] = None
    age[random.random(PEOPLE) < 0.1] = np.nan
    return {
        "age": age,
        "hours": hours,
        "schooling": schooling,
        "region": REGIONS[region],
        "wage": np.where(wage > np.median(wage), "high", "low"),
    }


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return a fitted pipeline on a DataFrame of the four columns."""
    # Only here: whoever looks at the data alone needs no pandas.
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    # A text that is missing is empty, and a category like the others.
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((numbers, ["age", "hours"]), (texts, ["schooling", "region"]))
    pipeline = make_pipeline(columns, LogisticRegression(C=1 / parameters["regularisation"]))
    return pipeline.fit(pandas.DataFrame(dict(rows.inputs)), rows.target)
