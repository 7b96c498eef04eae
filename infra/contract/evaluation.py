"""What was measured of a model: the task's metrics, the gates, the agreement with the trained model."""

import operator
from collections.abc import Callable
from enum import StrEnum

from pydantic import Field

from infra.contract.fields import Count, Section


class Operator(StrEnum):
    """How a metric is compared with its threshold."""

    AT_LEAST = ">="
    AT_MOST = "<="
    MORE = ">"
    LESS = "<"

    def holds(self, value: float, threshold: float) -> bool:
        """Return whether `value` compares so with `threshold`; NaN never does."""
        return _COMPARISONS[self](value, threshold)


_COMPARISONS: dict[Operator, Callable[[float, float], bool]] = {
    Operator.AT_LEAST: operator.ge,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.LESS: operator.lt,
}


class Task(StrEnum):
    """What kind of question the model answers: it decides which metrics are computed."""

    BINARY = "binary-classification"
    MULTICLASS = "multiclass-classification"
    MULTILABEL = "multilabel-classification"
    REGRESSION = "regression"
    FORECASTING = "forecasting"
    RANKING = "ranking"
    OTHER = "other"


class Gate(Section):
    """One evaluation gate and its result."""

    metric: str
    operator: Operator
    threshold: float
    value: float
    passed: bool


class Parity(Section):
    """Agreement of the exported model with the trained one on `rows` rows."""

    max_abs_difference: float = Field(ge=0)
    rows: Count


class Evaluation(Section):
    """Metrics on held-out data, gates and export parity."""

    # Absent in releases from before models had another task.
    task: Task = Field(default=Task.MULTICLASS, description=", ".join(Task))
    metrics: dict[str, float]
    own: tuple[str, ...] = Field(
        default=(), description="metrics of the model's own code and of slices: stated by the Job, measured by it alone"
    )
    # Absent in releases from before training Jobs computed them.
    intervals: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="by metric, the ends of its 95 % confidence interval"
    )
    gates: tuple[Gate, ...]
    # Absent where there is no trained model to compare with: of an imported one without expected answers.
    parity: Parity | None = None


class TrainedEvaluation(Evaluation):
    """An evaluation by the Job that has exported the model."""

    parity: Parity
