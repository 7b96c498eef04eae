"""Runs of the same new data that begin at the same moment, as two Jobs do; run by an interpreter with MLflow.

Prints how many of them were refused: `python runs_at_once.py <tracking server> <rounds> <runs of a round>`.
"""

import sys
import threading

import numpy as np
from mlflow.exceptions import MlflowException

from training.author import Rows
from training.data import Dataset
from training.document import Column, HeldOut, Model
from training.settings import Place, Request
from training.tracking import MlflowTracker

MODEL = Model(
    name="small",
    description="three numbers",
    framework="sklearn",
    task="binary-classification",
    inputs=(Column("numbers", "FP32", (3,)),),
    outputs=(Column("odds", "FP32"),),
    target=Column("label", "INT64", classes=2),
    held_out=HeldOut(0.2, "row", None),
    source=None,
    digest=None,
    slices=(),
    parameters=(),
    gates=(),
    requirements=(),
)


def main() -> int:
    uri, rounds, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rows = Rows({"numbers": np.zeros((2, 3))}, np.zeros(2), {})
    place, request = Place(uri, "models", "job", "image", "commit", "cpu"), Request(MODEL, {}, ())
    refused: list[str] = []
    for number in range(rounds):
        data, start = Dataset(MODEL.name, rows, rows, f"sha256:{number:064}"[::-1]), threading.Barrier(runs)
        workers = [threading.Thread(target=_begin, args=(request, place, data, start, refused)) for _ in range(runs)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
    print(len(refused), *refused[:1])
    return 0


def _begin(request: Request, place: Place, data: Dataset, start: threading.Barrier, refused: list[str]) -> None:
    start.wait()
    try:
        MlflowTracker(request, place, data)
    except MlflowException as error:
        refused.append(str(error))


if __name__ == "__main__":
    sys.exit(main())
