"""Customers who cancel: a logistic regression on numbers, of which some are missing, and texts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.author import Rows, Run

CUSTOMERS = 2000
PLANS = np.array(["basic", "family", "business"], object)


def load() -> Mapping[str, NDArray[Any]]:
    """Return generated customers: read your own here, a column for each input, and the target."""
    random = np.random.default_rng(1)
    months, plan = random.uniform(0, 60, CUSTOMERS).round(), random.integers(0, len(PLANS), CUSTOMERS)
    calls = random.poisson(3, CUSTOMERS).astype(np.float32)
    log_odds = 1.0 - 0.1 * months + 0.5 * calls - 1.5 * plan
    cancels = random.uniform(size=CUSTOMERS) < 1 / (1 + np.exp(-log_odds))
    calls[random.uniform(size=CUSTOMERS) < 0.1] = np.nan
    return {"months": months, "calls": calls, "plan": PLANS[plan], "cancels": cancels.astype(np.int64)}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return a fitted pipeline that takes raw columns: what is done to them first is part of it."""
    # Only here: whoever looks at the data alone needs none of it.
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["months", "calls"]),
        (OneHotEncoder(categories=[list(PLANS)], sparse_output=False), ["plan"]),
    )
    pipeline = make_pipeline(columns, LogisticRegression(C=1 / parameters["regularisation"]))
    return pipeline.fit(pandas.DataFrame(dict(rows.inputs)), rows.target)
