"""Metrics of a task, of the answers to the held-out rows: of the model's first output, unless `evaluate` adds others.

Classifications answer with unnormalised log-probabilities; of the two classes of a binary one, or of each label of a
multilabel one, with the log-odds of being positive.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from training.author import Rows
from training.errors import TrainingError

# Enough for two figures of the ends.
_RESAMPLES = 200
_ENDS = (2.5, 97.5)
_MOST_ROWS = 100_000
_MOST_SLICES = 50
Measure = Callable[[NDArray[Any], NDArray[Any]], dict[str, float]]


def measure(task: str, answers: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    """Return the task's metrics by name; none where it has none of its own.

    `answers` are the model's first output [rows, …], `target` the right ones. Raise TrainingError where the shapes do
    not fit the task, an answer is not finite, or a metric is not defined.
    """
    if task not in BY_TASK:
        return {}
    if not np.isfinite(answers).all():
        raise TrainingError("the model's answers are not finite; lower the learning rate and train again")
    values = BY_TASK[task](answers.astype(np.float64), target)
    undefined = [name for name, value in values.items() if not np.isfinite(value)]
    if undefined:
        raise TrainingError(f"{', '.join(undefined)}: not defined on these held-out rows; hold out more of them")
    return {name: float(value) for name, value in values.items()}


def intervals(task: str, answers: NDArray[Any], target: NDArray[Any]) -> dict[str, tuple[float, float]]:
    """Return the ends of each metric's 95 % confidence interval, by the percentile bootstrap (Efron, 1979).

    The same rows give the same intervals. Of more than 100,000 rows there are none: they would say nothing.
    """
    if task not in BY_TASK or len(target) > _MOST_ROWS:
        return {}
    random, wide = np.random.default_rng(0), answers.astype(np.float64)
    draws = (random.integers(0, len(target), len(target)) for _ in range(_RESAMPLES))
    drawn = [BY_TASK[task](wide[rows], target[rows]) for rows in draws]
    every = {name: np.array([values[name] for values in drawn]) for name in drawn[0]}
    ends = {name: np.nanpercentile(values, _ENDS).tolist() for name, values in every.items()}
    return {name: (low, high) for name, (low, high) in ends.items()}


def slices(task: str, answers: NDArray[Any], rows: Rows, columns: Sequence[str]) -> dict[str, float]:
    """Return each metric of the rows with each value of these columns, as `accuracy/region/north`.

    A metric that is not defined on such rows is left out. Raise TrainingError for a column with too many values.
    """
    measured: dict[str, float] = {}
    for column in columns if task in BY_TASK else ():
        values = rows.column(column)
        known = np.unique(values)
        if len(known) > _MOST_SLICES:
            raise TrainingError(
                f"data.slices: {column} has {len(known)} values in the held-out rows; {_MOST_SLICES} are allowed"
            )
        for value in known.tolist():
            of_value = BY_TASK[task](answers[values == value].astype(np.float64), rows.target[values == value])
            for name, metric in of_value.items():
                if np.isfinite(metric):
                    measured[f"{name}/{_word(column)}/{_word(value)}"] = float(metric)
    return measured


def _word(value: object) -> str:
    """Return a value as the tracking server takes it in a name."""
    return re.sub(r"[^\w. -]", "_", str(value))


def _multiclass(answers: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    if answers.ndim != 2 or int(target.max()) >= answers.shape[1]:
        raise _shape(answers, "[rows, classes]")
    predicted, right = answers.argmax(axis=1), answers[np.arange(len(target)), target]
    recalls = metrics.recall_score(target, predicted, labels=np.unique(target), average=None)
    return {
        "accuracy": metrics.accuracy_score(target, predicted),
        "loss": float((np.logaddexp.reduce(answers, axis=1) - right).mean()),
        "worst_class_recall": recalls.min(),
    }


def _binary(answers: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    odds = answers.reshape(len(answers), -1)
    if odds.shape[1] != 1:
        raise _shape(answers, "[rows] or [rows, 1]")
    return {
        "accuracy": metrics.accuracy_score(target, odds[:, 0] > 0),
        "loss": _log_loss(odds[:, 0], target),
        "roc_auc": metrics.roc_auc_score(target, odds[:, 0]) if len(np.unique(target)) == 2 else np.nan,
        "f1": metrics.f1_score(target, odds[:, 0] > 0),
    }


def _multilabel(answers: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    if answers.shape != target.shape:
        raise _shape(answers, str(list(target.shape)))
    return {
        "exact_match": metrics.accuracy_score(target, answers > 0),
        "loss": _log_loss(answers, target),
        "f1_macro": metrics.f1_score(target, answers > 0, average="macro", zero_division=0),
    }


def _errors(answers: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    if answers.size != target.size:
        raise _shape(answers, str(list(target.shape)))
    given, wanted = answers.reshape(len(answers), -1), target.reshape(len(target), -1)
    return {
        "mae": metrics.mean_absolute_error(wanted, given),
        "rmse": metrics.root_mean_squared_error(wanted, given),
    }


def _regression(answers: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    errors = _errors(answers, target)
    return errors | {"r2": metrics.r2_score(target.reshape(len(target), -1), answers.reshape(len(answers), -1))}


def _log_loss(odds: NDArray[Any], target: NDArray[Any]) -> float:
    """Return the mean cross-entropy in nats."""
    return float((np.logaddexp(0, odds) - odds * target).mean())


def _shape(answers: NDArray[Any], wanted: str) -> TrainingError:
    return TrainingError(f"the model's first output has the shape {list(answers.shape)}, its task needs {wanted}")


BY_TASK: Mapping[str, Measure] = {
    "binary-classification": _binary,
    "multiclass-classification": _multiclass,
    "multilabel-classification": _multilabel,
    "regression": _regression,
    "forecasting": _errors,
}
