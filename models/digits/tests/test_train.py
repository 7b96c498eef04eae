"""Digits: the data is what the document says, and the network learns it."""

from pathlib import Path

import numpy as np
import pytest

from infra.values import ROOT
from tests.support.models import place
from training.author import read_author
from training.data import load
from training.document import read_model
from training.pipeline import rehearse

FOLDER = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder as the model's image has it."""
    return place(tmp_path / "model", FOLDER.name, ROOT / "models")


def test_the_data_is_what_the_document_says(folder: Path) -> None:
    model = read_model(folder)
    dataset = load(model, read_author(folder))
    assert (len(dataset.train), len(dataset.held_out)) == (1423, 374)
    assert dataset.digest == model.digest


def test_a_few_epochs_pass_the_gates_and_give_the_same_file_again(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is in the model's image, not in this environment")
    first, second = (rehearse(folder, tmp_path / name, {"epochs": 3}) for name in ("first", "second"))
    assert first.content == second.content
    assert first.measured.metrics["accuracy"] > 0.85
    assert first.measured.parity.max_abs_difference < 1e-4
    assert np.isfinite(first.answers["scores"]).all()
    assert {file.name for file in (tmp_path / "first").iterdir()} == {"model.onnx", "examples.json", "evaluation.json"}
