"""The gates that a model must pass before it is published."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

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


def apply_gates(gates: Sequence[Gate], metrics: Mapping[str, float]) -> list[GateResult]:
    """Return each gate with its result; a metric that is absent or not a number does not pass."""
    results = []
    for gate in gates:
        value = metrics.get(gate.metric, float("nan"))
        passed = OPERATORS[gate.operator](value, gate.threshold)
        results.append(GateResult(**asdict(gate), value=value, passed=passed))
    return results
