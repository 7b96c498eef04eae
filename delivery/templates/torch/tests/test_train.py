"""The rows can be kept apart, and the network learns it."""

from pathlib import Path

import numpy as np
import pytest

from training.author import Rows, Run, read_author

AUTHOR = read_author(Path(__file__).resolve().parents[1])


def rows() -> Rows:
    columns = AUTHOR.load()
    return Rows({"measurements": columns["measurements"]}, columns["kind"], {})


def test_there_are_as_many_rows_of_each_kind() -> None:
    assert set(np.bincount(rows().target)) == {200}


def test_the_network_learns() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is in the model's image, not in this environment")
    parameters = {"epochs": 100, "hidden": 16, "learning_rate": 0.02, "seed": 7}
    network = AUTHOR.fit(rows(), parameters, Run("cpu", lambda *_: None)).eval()
    answers = network(torch.from_numpy(rows().inputs["measurements"])).argmax(dim=1).numpy()
    assert (answers == rows().target).mean() > 0.9
