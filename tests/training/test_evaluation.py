"""Gates."""

import math

import pytest

from training.evaluation import Gate, apply_gates


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
