"""Demand: a linear forecaster on windows of a series."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.author import Rows, Run

DAYS, PAST, NEXT = 1500, 28, 7


def load() -> Mapping[str, NDArray[Any]]:
    """Return windows of a made-up series: four weeks of it, and the week that follows; `day` is the last one known."""
    random, days = np.random.default_rng(3), np.arange(DAYS)
    week = np.array([0, 2, 5, 9, 20, 35, -15])[days % 7]
    series = 100 + 0.02 * days + week + 15 * np.sin(2 * np.pi * days / 365) + random.normal(0, 6, DAYS)
    windows = np.lib.stride_tricks.sliding_window_view(np.maximum(series, 0), PAST + NEXT)
    return {"past": windows[:, :PAST], "sold": windows[:, PAST:], "day": days[PAST - 1 : DAYS - NEXT]}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return a fitted pipeline from [rows, 28] to [rows, 7]."""
    forecaster = make_pipeline(StandardScaler(), Ridge(alpha=parameters["penalty"]))
    return forecaster.fit(rows.inputs["past"], rows.target)


def evaluate(answers: Mapping[str, NDArray[Any]], rows: Rows) -> Mapping[str, float]:
    """Return how much smaller the error is than that of saying last week again."""
    naive = np.abs(rows.inputs["past"][:, -NEXT:] - rows.target).mean()
    return {"gain": float(1 - np.abs(answers["next"] - rows.target).mean() / naive)}
