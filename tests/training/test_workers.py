"""Several workers: each has its part of the rows, and a framework that trains in one process says so."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training import workers
from training.author import Author, Rows, Run
from training.errors import TrainingError
from training.workers import ALONE, Worker, part, read_worker


def rows(count: int) -> Rows:
    numbers = np.arange(count)
    return Rows({"x": numbers}, numbers, {"more": numbers})


def test_a_worker_is_told_who_it_is_by_torchrun() -> None:
    assert read_worker({}) == ALONE
    assert read_worker({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}) == Worker(3, 4, 1)


@pytest.mark.parametrize(("count", "size"), [(10, 2), (10, 3), (7, 4), (3, 4)])
def test_parts_have_one_length_and_together_every_row(count: int, size: int) -> None:
    parts = [part(rows(count), Worker(rank, size)) for rank in range(size)]
    assert len({len(each) for each in parts}) == 1
    assert {int(value) for each in parts for value in each.target} == set(range(count))
    assert sum(len(each) for each in parts) - count < size
    assert all((each.inputs["x"] == each.target).all() for each in parts)


class Together:
    """A framework whose workers are this one alone."""

    def __init__(self) -> None:
        self.left = False

    def prepare(self, device: str, seed: int) -> None:
        assert (device, seed) == ("cpu", 7)

    def connect(self, device: str, worker: Worker) -> "Together":
        return self

    def share(self, module: Any) -> Any:
        return f"shared {module}"

    def agreed(self, fitted: Any) -> Any:
        return f"agreed {fitted}"

    def leave(self) -> None:
        self.left = True


def fit_with(framework: Any, worker: Worker, said: list[str]) -> tuple[Any, int]:
    seen: list[int] = []

    def fit(given: Rows, parameters: Any, run: Run) -> Any:
        seen.append(len(given))
        run.log("loss", 1.0, 1)
        return run.distribute("module")

    author = Author(None, lambda: {}, fit)  # type: ignore[arg-type]
    run = Run("cpu", lambda metric, *_: said.append(metric), worker)
    return workers.fit(author, framework, rows(10), {"seed": 7}, run), seen[0]


def test_one_process_trains_on_all_rows_whatever_the_framework() -> None:
    said: list[str] = []
    together = Together()
    assert fit_with(together, ALONE, said) == ("module", 10)
    assert (said, together.left) == (["loss"], False)


@pytest.mark.parametrize("rank", [0, 1])
def test_several_train_on_their_parts_and_the_first_alone_records(rank: int) -> None:
    said: list[str] = []
    together = Together()
    assert fit_with(together, Worker(rank, 2), said) == ("agreed shared module", 5)
    assert said == (["loss"] if rank == 0 else [])
    assert together.left


def test_a_framework_that_trains_in_one_process_refuses_several() -> None:
    alone = SimpleNamespace(prepare=lambda device, seed: None)
    with pytest.raises(TrainingError, match="2 workers: this framework trains in one process; set workers to 1"):
        fit_with(alone, Worker(0, 2), [])
