"""Offers: boosted trees on a table of numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.author import Rows, Run

OFFERS = 2000


def load() -> Mapping[str, NDArray[Any]]:
    random = np.random.default_rng(4)
    price, pieces = random.uniform(10, 500, OFFERS), random.integers(1, 20, OFFERS)
    known = random.random(OFFERS) < 0.5
    taken = 3 - 0.015 * price + 0.1 * pieces + 1.5 * known + random.logistic(0, 0.5, OFFERS) > 0
    price[random.random(OFFERS) < 0.05] = np.nan
    return {"price": price, "pieces": pieces.astype(np.int32), "known": known, "taken": taken.astype(np.int64)}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    import pandas
    from lightgbm import LGBMClassifier

    equal = {"deterministic": True, "force_row_wise": True, "verbose": -1, "n_jobs": 1}
    trees = LGBMClassifier(n_estimators=int(parameters["trees"]), **equal)
    return trees.fit(pandas.DataFrame(dict(rows.inputs)), rows.target)
