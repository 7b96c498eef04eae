"""Wages: the pipeline learns, and its exported file takes texts and missing values."""

from pathlib import Path

import numpy as np
import pytest

from infra.values import ROOT
from tests.support.models import place
from training.author import read_author
from training.data import load
from training.document import read_model
from training.export import answers_of
from training.pipeline import rehearse

FOLDER = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder as the model's image has it."""
    return place(tmp_path / "model", FOLDER.name, ROOT / "models")


def test_the_data_is_what_the_document_says(folder: Path) -> None:
    dataset = load(read_model(folder), read_author(folder))
    ages, schooling = (dataset.train.inputs[name] for name in ("age", "schooling"))
    assert 0.05 < np.isnan(ages).mean() < 0.15
    assert 0.05 < (schooling == "").mean() < 0.15


def test_it_passes_the_gates_and_gives_the_same_file_again(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx", reason="scikit-learn's converter is in the model's image, not in this environment")
    first, second = (rehearse(folder, tmp_path / name) for name in ("first", "second"))
    assert first.content == second.content
    assert all(gate.passed for gate in first.measured.gates)
    unknown = {"age": [np.nan], "hours": [40], "schooling": [""], "region": ["abroad"]}
    model = read_model(folder)
    kinds = {column.name: object if column.datatype == "BYTES" else np.float32 for column in model.inputs}
    rows = {name: np.array(values, kinds[name]) for name, values in unknown.items()}
    assert np.isfinite(answers_of(first.content, model, rows)["log_odds"]).all()
