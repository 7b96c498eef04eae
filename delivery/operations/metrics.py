"""Metrics of a task, computed by the command itself from a model's answers and the right ones."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.contract.model import Task

Metric = Callable[[NDArray[Any], NDArray[Any]], float]


def accuracy(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of rows, scores [n, classes], whose greatest score is the label's."""
    return float(np.mean(scores.argmax(axis=1) == labels))


def loss(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean cross-entropy in nats; scores are unnormalised log-probabilities [n, classes]."""
    shifted = scores.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - chosen))


def worst_class_recall(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the accuracy on the rows of the class where it is least."""
    return min(accuracy(scores[labels == label], labels[labels == label]) for label in np.unique(labels))


BY_TASK: Mapping[Task, Mapping[str, Metric]] = {
    Task.CLASSIFICATION: {"accuracy": accuracy, "loss": loss, "worst_class_recall": worst_class_recall}
}
