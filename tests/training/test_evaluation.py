"""Metrics and gates."""

import math

import numpy as np
import pytest

from training.errors import TrainingError
from training.evaluation import Gate, apply_gates, measure


def test_metrics_of_a_case_computed_by_hand() -> None:
    scores = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0], [3.0, 0.0]], dtype=np.float32)
    labels = np.array([0, 0, 1, 1])
    metrics = measure(scores, labels)
    assert metrics["accuracy"] == 0.75
    assert metrics["worst_class_recall"] == 0.5
    losses = [math.log(1 + math.exp(-2)), math.log(2), math.log(1 + math.exp(-1)), math.log(1 + math.exp(3))]
    assert metrics["loss"] == pytest.approx(sum(losses) / 4)


def test_large_scores_do_not_overflow() -> None:
    assert measure(np.array([[1e30, 0.0]], dtype=np.float32), np.array([0]))["loss"] == 0.0


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(TrainingError, match="not finite; lower the learning rate"):
        measure(np.array([[np.inf, 0.0]], dtype=np.float32), np.array([0]))


@pytest.mark.parametrize(
    ("gate", "value", "passed"),
    [
        (Gate("accuracy", ">=", 0.9), 0.9, True),
        (Gate("accuracy", ">=", 0.9), 0.8999, False),
        (Gate("accuracy", ">=", 0.9), math.nan, False),
        (Gate("accuracy", "<=", 0.9), 0.9, True),
        (Gate("accuracy", "<=", 0.9), 0.91, False),
        (Gate("accuracy", "<=", 0.9), math.nan, False),
        (Gate("accuracy", ">", 0.9), 0.9, False),
        (Gate("accuracy", "<", 0.9), 0.89, True),
    ],
)
def test_gates(gate: Gate, value: float, passed: bool) -> None:
    (result,) = apply_gates([gate], {"accuracy": value})
    assert result.passed is passed
    assert (result.metric, result.operator, result.threshold) == ("accuracy", gate.operator, 0.9)


def test_a_gate_without_its_metric_does_not_pass() -> None:
    (result,) = apply_gates([Gate("recall", "<=", 1.0)], {"accuracy": 1.0})
    assert not result.passed
