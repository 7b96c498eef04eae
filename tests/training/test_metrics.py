"""Metrics by task: by hand, and by the command's own code."""

import math

import numpy as np
import pytest

from delivery.operations import metrics as command
from infra.contract.release import Task
from training import metrics
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
