"""Demand: the forecaster knows more than last week."""

from pathlib import Path

import pytest

from infra.values import ROOT
from tests.support.models import place
from training.author import read_author
from training.data import load
from training.document import read_model
from training.pipeline import rehearse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder as the model's image has it."""
    return place(tmp_path / "model", "demand", ROOT / "models")


def test_a_window_is_followed_by_its_week(folder: Path) -> None:
    windows = load(read_model(folder), read_author(folder)).train
    assert (windows.inputs["past"][7:, -7:] == windows.target[:-7]).all()


def test_it_is_better_than_last_week_again(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx", reason="scikit-learn's converter is in the model's image, not in this environment")
    product = rehearse(folder, tmp_path / "output")
    assert product.measured.own == ["gain"]
    assert all(gate.passed for gate in product.measured.gates)
    assert product.answers["next"].shape[1:] == (7,)
