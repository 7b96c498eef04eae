"""Several processes that train one model together: each has a part of the rows, the first one publishes.

`torchrun` starts them, one in each pod of an Indexed Job, or several where a pod has several GPUs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from training.errors import TrainingError

if TYPE_CHECKING:
    from training.author import Author, Rows, Run
    from training.frameworks import Adapter


@dataclass(frozen=True)
class Worker:
    """One of `count` processes: `rank` counts from 0, `local_rank` those of the same pod."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0


ALONE = Worker()


class Group(Protocol):
    """The processes together, as a framework connects them."""

    def share(self, module: Any) -> Any:
        """Return the module so that its gradients are the mean of all workers'."""

    def agreed(self, fitted: Any) -> Any:
        """Return what `fit` has returned as one process has it; raise TrainingError where the workers' differ."""

    def leave(self) -> None:
        """End the connection."""


def read_worker(environ: Mapping[str, str] = os.environ) -> Worker:
    """Return which worker this process is by torchrun's variables; one that is alone has none of them."""
    return Worker(*(int(environ.get(name, default)) for name, default in
                    (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))))  # fmt: skip


def part(rows: "Rows", worker: Worker) -> "Rows":
    """Return every `count`-th row; all parts have the same length: the last ones begin again with the first rows.

    With parts of different lengths one worker would wait for another's gradients for ever.
    """
    length = -(-len(rows) // worker.count)
    return rows.of((worker.rank + worker.count * np.arange(length)) % len(rows))


def fit(author: "Author", framework: "Adapter", rows: "Rows", parameters: Mapping[str, int | float], run: "Run") -> Any:
    """Return what the author's `fit` returns, trained with the other workers where there are some.

    Raise TrainingError where the framework cannot, or where the workers have trained models of their own.
    """
    framework.prepare(run.device, int(parameters.get("seed", 0)))
    worker = run.worker
    if worker.count == 1:
        return author.fit(rows, parameters, run)
    connect = getattr(framework, "connect", None)
    if connect is None:
        raise TrainingError(f"{worker.count} workers: this framework trains in one process; set workers to 1")
    group: Group = connect(run.device, worker)
    try:
        quiet = run.log if worker.rank == 0 else _silent
        shared = replace(run, log=quiet, distribute=group.share)
        return group.agreed(author.fit(part(rows, worker), parameters, shared))
    finally:
        group.leave()


def _silent(metric: str, value: float, step: int) -> None:
    """Record nothing: the first worker does."""
