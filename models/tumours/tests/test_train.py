"""Tumours: the network learns, and equal trainings give an equal file."""

from pathlib import Path

import pytest

from infra.values import ROOT
from tests.support.models import place
from training.pipeline import rehearse


def test_it_passes_the_gates_and_gives_the_same_file_again(tmp_path: Path) -> None:
    pytest.importorskip("jax2onnx", reason="Keras and its converter are in the model's image, not in this environment")
    folder = place(tmp_path / "model", "tumours", ROOT / "models")
    first, second = (rehearse(folder, tmp_path / name, {"epochs": 5}) for name in ("first", "second"))
    assert first.content == second.content
    assert all(gate.passed for gate in first.measured.gates)
