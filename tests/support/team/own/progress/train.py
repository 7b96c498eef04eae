"""A ridge regression on a table with texts and missing values."""

import csv
from pathlib import Path

import numpy as np


def load():
    """Return the columns of rows.csv."""
    with (Path(__file__).parent / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    numbers = {name: [value or "nan" for value in values] for name, values in columns.items() if name != "sex"}
    return {
        "sex": np.array(columns["sex"], object),
        **{name: np.array(values, np.float32) for name, values in numbers.items()},
    }


def fit(rows, parameters, run):
    """Return a fitted pipeline."""
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["age", "bmi", "pressure", "sugar"]), (OneHotEncoder(sparse_output=False), ["sex"])
    )
    return make_pipeline(columns, Ridge(parameters["penalty"])).fit(pandas.DataFrame(dict(rows.inputs)), rows.target)
