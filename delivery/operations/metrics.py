"""Metrics of a task, computed by the command itself from a model's first output and the right answers.

The room of training computes the same ones with another library: two that agree are hardly both wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.contract.release import Task

Array = NDArray[Any]
Metric = Callable[[Array, Array], float]


def measure(task: Task, answers: Array, labels: Array) -> dict[str, float]:
    """Return the task's metrics by name, none where it has none of its own.

    `answers` are [rows, …], `labels` the right ones. Raise ValueError with what does not fit the task.
    """
    if task not in BY_TASK:
        return {}
    fits, words = _FITS[task]
    if not fits(answers, labels):
        raise ValueError(f"answers of the shape {list(answers.shape)} and labels {list(labels.shape)}; needed: {words}")
    wide = answers.astype(np.float64)
    return {name: metric(wide, labels) for name, metric in BY_TASK[task].items()}


def predictions(task: Task, answers: Array) -> Array:
    """Return what the answers say, in the form of the labels: a class, truth values, or the answers themselves."""
    if task is Task.MULTICLASS:
        return np.asarray(answers.argmax(axis=1))
    if task is Task.BINARY:
        return (answers.reshape(-1) > 0).astype(int)
    return (answers > 0).astype(int) if task is Task.MULTILABEL else answers


def _accuracy(answers: Array, labels: Array) -> float:
    """Return the share of rows, answers [n, classes], whose greatest one is the label's."""
    return float(np.mean(answers.argmax(axis=1) == labels))


def _loss(answers: Array, labels: Array) -> float:
    """Return the mean cross-entropy in nats; answers are unnormalised log-probabilities [n, classes]."""
    shifted = answers - answers.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - chosen))


def _worst_class_recall(answers: Array, labels: Array) -> float:
    """Return the accuracy on the rows of the class where it is least."""
    return min(_accuracy(answers[labels == label], labels[labels == label]) for label in np.unique(labels))


def _agreement(odds: Array, labels: Array) -> float:
    """Return the share of rows in which every log-odds has the label's side."""
    return float(np.mean(((odds > 0) == (labels.reshape(odds.shape) > 0)).reshape(len(labels), -1).all(axis=1)))


def _log_loss(odds: Array, labels: Array) -> float:
    """Return the mean cross-entropy of log-odds, in nats."""
    signed = np.where(labels.reshape(odds.shape) > 0, -odds, odds)
    return float(np.mean(np.maximum(signed, 0) + np.log1p(np.exp(-np.abs(signed)))))


def _roc_auc(odds: Array, labels: Array) -> float:
    """Return the probability that a positive row has greater odds than a negative one (Mann and Whitney's U)."""
    _, places, counts = np.unique(odds.reshape(-1), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positive = labels > 0
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(labels) - count)))


def _f1(odds: Array, labels: Array) -> float:
    """Return the mean over the labels of 2 TP / (2 TP + FP + FN), 0 for one that is neither right nor predicted."""
    said, right = (odds > 0).reshape(len(labels), -1), (labels > 0).reshape(len(labels), -1)
    hits, misses = (said & right).sum(axis=0), (said ^ right).sum(axis=0)
    return float(np.mean(2 * hits / np.maximum(2 * hits + misses, 1)))


def _mae(values: Array, labels: Array) -> float:
    return float(np.abs(values - labels.reshape(values.shape)).mean())


def _rmse(values: Array, labels: Array) -> float:
    """Return the root of the mean squared error, the mean of those of several values."""
    squares = ((values - labels.reshape(values.shape)) ** 2).reshape(len(labels), -1)
    return float(np.sqrt(squares.mean(axis=0)).mean())


def _r2(values: Array, labels: Array) -> float:
    """Return the share of the variance that is explained, the mean of those of several values."""
    right = labels.reshape(len(labels), -1).astype(np.float64)
    left = ((right - values.reshape(right.shape)) ** 2).sum(axis=0)
    return float(np.mean(1 - left / ((right - right.mean(axis=0)) ** 2).sum(axis=0)))


def _are_classes(answers: Array, labels: Array) -> bool:
    return answers.ndim == 2 and labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < answers.shape[1]


def _are_sides(odds: Array, labels: Array) -> bool:
    return odds.size == labels.size and bool(np.isin(labels, (0, 1)).all())


def _are_numbers(values: Array, labels: Array) -> bool:
    return values.size == labels.size and labels.dtype.kind in "iuf"


_ERRORS: Mapping[str, Metric] = {"mae": _mae, "rmse": _rmse}
BY_TASK: Mapping[Task, Mapping[str, Metric]] = {
    Task.MULTICLASS: {"accuracy": _accuracy, "loss": _loss, "worst_class_recall": _worst_class_recall},
    Task.BINARY: {"accuracy": _agreement, "loss": _log_loss, "roc_auc": _roc_auc, "f1": _f1},
    Task.MULTILABEL: {"exact_match": _agreement, "loss": _log_loss, "f1_macro": _f1},
    Task.REGRESSION: {**_ERRORS, "r2": _r2},
    Task.FORECASTING: _ERRORS,
}
_FITS: Mapping[Task, tuple[Callable[[Array, Array], bool], str]] = {
    Task.MULTICLASS: (_are_classes, "an answer per row and class, and labels that are classes"),
    Task.BINARY: (_are_sides, "one answer per row, and labels that are 0 or 1"),
    Task.MULTILABEL: (_are_sides, "an answer per row and label, and labels that are 0 or 1"),
    Task.REGRESSION: (_are_numbers, "an answer per label, and labels that are numbers"),
    Task.FORECASTING: (_are_numbers, "an answer per label, and labels that are numbers"),
}
