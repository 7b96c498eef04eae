"""Metrics by task: by hand, and by the command's own code."""

import math

import numpy as np
import pytest

from delivery.operations import metrics as command
from infra.contract.release import Task
from training import metrics
from training.author import Rows
from training.errors import TrainingError
from training.metrics import measure

MULTICLASS = "multiclass-classification"
RANDOM = np.random.default_rng(5)
ROWS = 300
CASES = {
    Task.MULTICLASS: (RANDOM.normal(size=(ROWS, 4)), RANDOM.integers(0, 4, ROWS)),
    Task.BINARY: (RANDOM.normal(size=(ROWS, 1)).round(1), RANDOM.integers(0, 2, ROWS)),
    Task.MULTILABEL: (RANDOM.normal(size=(ROWS, 3)), RANDOM.integers(0, 2, (ROWS, 3))),
    Task.REGRESSION: (RANDOM.normal(size=ROWS), RANDOM.normal(size=ROWS)),
    Task.FORECASTING: (RANDOM.normal(size=(ROWS, 7)), RANDOM.normal(size=(ROWS, 7))),
}


def test_metrics_of_a_case_computed_by_hand() -> None:
    answers = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0], [3.0, 0.0]], dtype=np.float32)
    measured = measure(MULTICLASS, answers, np.array([0, 0, 1, 1]))
    assert measured["accuracy"] == 0.75
    assert measured["worst_class_recall"] == 0.5
    losses = [math.log(1 + math.exp(-2)), math.log(2), math.log(1 + math.exp(-1)), math.log(1 + math.exp(3))]
    assert measured["loss"] == pytest.approx(sum(losses) / 4)


def test_large_answers_do_not_overflow() -> None:
    assert measure(MULTICLASS, np.array([[1e30, 0.0]], dtype=np.float32), np.array([0]))["loss"] == 0.0


@pytest.mark.parametrize("task", list(CASES))
def test_the_command_measures_the_same(task: Task) -> None:
    answers, target = CASES[task]
    measured = measure(task, answers.astype(np.float32), target)
    assert measured == pytest.approx(command.measure(task, answers.astype(np.float32), target), rel=1e-6)
    assert list(measured) == list(command.BY_TASK[task])


def test_both_know_the_same_tasks() -> None:
    assert set(metrics.BY_TASK) == set(command.BY_TASK) == set(CASES)
    assert measure("ranking", np.zeros(1), np.zeros(1)) == command.measure(Task.RANKING, np.zeros(1), np.zeros(1)) == {}


@pytest.mark.parametrize("task", list(CASES))
def test_an_interval_holds_its_metric_and_is_the_same_again(task: Task) -> None:
    answers, target = CASES[task]
    measured, intervals = measure(task, answers, target), metrics.intervals(task, answers, target)
    assert list(intervals) == list(measured)
    # The least of several recalls is smaller on most resamples.
    between = {name: low <= measured[name] <= high for name, (low, high) in intervals.items()}
    assert all(holds for name, holds in between.items() if name != "worst_class_recall")
    assert intervals == metrics.intervals(task, answers, target)


def test_an_interval_of_a_share_is_about_that_of_the_normal_distribution() -> None:
    answers, target = np.tile([[1.0, 0.0]], (400, 1)), (np.arange(400) % 4 == 0).astype(int)
    low, high = metrics.intervals(MULTICLASS, answers, target)["accuracy"]
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == (pytest.approx(0.75 - half, abs=0.01), pytest.approx(0.75 + half, abs=0.01))


def test_metrics_of_slices() -> None:
    answers, target = np.array([2.0, -1.0, 3.0, 1.0]), np.array([1, 0, 1, 0])
    rows = Rows({"age": np.array([1, 1, 2, 2])}, target, {"region": np.array(["a=b", "a=b", "a=b", "c"])})
    measured = metrics.slices("binary-classification", answers, rows, ["region", "age"])
    assert measured["accuracy/region/a_b"] == 1.0
    assert measured["accuracy/region/c"] == 0.0
    assert measured["accuracy/age/2"] == 0.5
    assert "roc_auc/region/a_b" in measured
    assert "roc_auc/region/c" not in measured, "one class alone has none"
    assert metrics.slices("ranking", answers, rows, ["region"]) == {}
    many = Rows({}, np.arange(60) % 2, {"name": np.arange(60)})
    with pytest.raises(TrainingError, match=r"data\.slices: name has 60 values"):
        metrics.slices("binary-classification", np.zeros(60), many, ["name"])


@pytest.mark.parametrize(
    ("task", "answers", "target", "message"),
    [
        (MULTICLASS, np.array([[np.inf, 0.0]]), np.array([0]), "not finite; lower the learning rate"),
        (MULTICLASS, np.zeros((2, 2)), np.array([0, 2]), r"\[2, 2\], its task needs \[rows, classes\]"),
        (MULTICLASS, np.zeros(2), np.array([0, 1]), r"needs \[rows, classes\]"),
        ("binary-classification", np.zeros((2, 2)), np.array([0, 1]), r"needs \[rows\] or \[rows, 1\]"),
        ("binary-classification", np.zeros(2), np.array([1, 1]), "roc_auc: not defined on these held-out rows"),
        ("multilabel-classification", np.zeros((2, 2)), np.zeros((2, 3)), r"its task needs \[2, 3\]"),
        ("regression", np.zeros((2, 2)), np.zeros(2), r"its task needs \[2\]"),
    ],
)
def test_answers_that_are_not_the_tasks(task: str, answers: np.ndarray, target: np.ndarray, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        measure(task, answers, target)


@pytest.mark.parametrize(
    ("task", "answers", "labels"),
    [
        (Task.MULTICLASS, np.zeros((2, 2)), np.array([0, 2])),
        (Task.MULTICLASS, np.zeros((2, 2)), np.array([0, -1])),
        (Task.MULTICLASS, np.zeros((2, 2)), np.array([0.5, 1])),
        (Task.BINARY, np.zeros((2, 2)), np.array([0, 1])),
        (Task.BINARY, np.zeros(2), np.array([0, 2])),
        (Task.REGRESSION, np.zeros(2), np.array(["a", "b"])),
    ],
)
def test_the_command_refuses_them_too(task: Task, answers: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"answers of the shape .*; needed: "):
        command.measure(task, answers, labels)


def test_predictions_have_the_form_of_labels() -> None:
    assert command.predictions(Task.MULTICLASS, np.array([[0.0, 1.0]])).tolist() == [1]
    assert command.predictions(Task.BINARY, np.array([[0.5], [-0.5]])).tolist() == [1, 0]
    assert command.predictions(Task.MULTILABEL, np.array([[0.5, -1]])).tolist() == [[1, 0]]
    assert command.predictions(Task.REGRESSION, np.array([0.5])).tolist() == [0.5]
