"""Metrics on held-out rows, and the gates a model must pass before it is published."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Gate:
    """`metric` `operator` `threshold` must hold; the operator is one of OPERATORS."""

    metric: str
    operator: str
    threshold: float


@dataclass(frozen=True)
class GateResult:
    """A gate with the value that was measured."""

    metric: str
    operator: str
    threshold: float
    value: float
    passed: bool

    def __str__(self) -> str:
        """Return the gate as a sentence for a log line."""
        return f"{self.metric} is {self.value:.4f}, must be {self.operator} {self.threshold}"


def measure(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return `accuracy`, mean cross-entropy `loss` (nats) and `worst_class_recall`.

    `scores` are unnormalised log-probabilities, float32 [n, classes]; `labels` are int64 [n].
    Raise TrainingError when a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise TrainingError("the model returned scores that are not finite; lower the learning rate and train again")
    wide = scores.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    log_probabilities = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    correct = scores.argmax(axis=1) == labels
    return {
        "accuracy": float(correct.mean()),
        "loss": float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        "worst_class_recall": min(float(correct[labels == label].mean()) for label in np.unique(labels)),
    }


def apply_gates(gates: Sequence[Gate], metrics: Mapping[str, float]) -> list[GateResult]:
    """Return each gate with its result; a metric that is absent or not a number does not pass."""
    results = []
    for gate in gates:
        value = metrics.get(gate.metric, float("nan"))
        passed = OPERATORS[gate.operator](value, gate.threshold)
        results.append(GateResult(**asdict(gate), value=value, passed=passed))
    return results
