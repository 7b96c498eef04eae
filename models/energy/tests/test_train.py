"""Energy: the latest hours are held out, and the trees know them."""

from pathlib import Path

import pytest

from infra.values import ROOT
from tests.support.models import place
from training.author import read_author
from training.data import load
from training.document import read_model
from training.pipeline import rehearse


def test_the_latest_hours_are_held_out(tmp_path: Path) -> None:
    folder = place(tmp_path / "model", "energy", ROOT / "models")
    dataset = load(read_model(folder), read_author(folder))
    assert dataset.train.columns["time"].max() < dataset.held_out.columns["time"].min()


def test_it_passes_the_gates_and_gives_the_same_file_again(tmp_path: Path) -> None:
    pytest.importorskip("xgboost", reason="XGBoost is in the model's image, not in this environment")
    pytest.importorskip("onnxmltools", reason="its converter is in the model's image, not in this environment")
    folder = place(tmp_path / "model", "energy", ROOT / "models")
    first, second = (rehearse(folder, tmp_path / name, {"trees": 60}) for name in ("first", "second"))
    assert first.content == second.content
    assert first.measured.metrics["mae"] < 5
    assert {"mae/heated/True", "mae/heated/False"} <= set(first.measured.metrics)
