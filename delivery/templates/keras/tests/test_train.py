"""Power falls as it gets warmer, and the network learns it."""

from pathlib import Path

import numpy as np
import pytest

from training.author import Rows, Run, read_author

AUTHOR = read_author(Path(__file__).resolve().parents[1])


def rows() -> Rows:
    columns = AUTHOR.load()
    return Rows({"weather": columns["weather"]}, columns["power"], {})


def test_cold_hours_take_more() -> None:
    outside, power = rows().inputs["weather"][:, 0], rows().target[:, 0]
    assert power[outside < 0].mean() > 2 * power[outside > 10].mean()


def test_the_network_learns() -> None:
    pytest.importorskip("keras", reason="Keras is in the model's image, not in this environment")
    parameters = {"epochs": 60, "hidden": 32, "learning_rate": 0.01, "seed": 7}
    network = AUTHOR.fit(rows(), parameters, Run("cpu", lambda *_: None))
    answers = np.asarray(network(rows().inputs["weather"]))
    assert np.abs(answers - rows().target).mean() < 0.5
