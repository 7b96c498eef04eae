"""Reviews: texts become counts wherever they are served, and the classifier learns what a negation does."""

from pathlib import Path

import numpy as np
import pytest

from infra.values import ROOT
from tests.support.models import place
from training.author import Run, read_author
from training.data import load
from training.document import read_model
from training.pipeline import rehearse

NOWHERE = Path()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder as the model's image has it."""
    return place(tmp_path / "model", "reviews", ROOT / "models")


def test_a_text_is_counted_by_words_and_pairs(folder: Path) -> None:
    decode = read_author(folder).hooks.decode
    assert decode
    texts = np.array(["Not good, not good!", "good"], object)
    first, second = decode({"text": texts}, NOWHERE)["words"]
    assert (first.sum(), second.sum()) == (7, 1)
    assert first[second.argmax()] == 2
    with pytest.raises(ValueError, match=r"text 1 \(counted from 0\) has no words"):
        decode({"text": np.array(["good", "12 !"], object)}, NOWHERE)


def test_the_classifier_learns(folder: Path) -> None:
    author = read_author(folder)
    dataset = load(read_model(folder), author)
    fitted = author.fit(dataset.train, {"regularisation": 1.0}, Run("cpu", lambda *_: None))
    assert author.hooks.decode
    held_out = author.hooks.decode(dataset.held_out.inputs, NOWHERE)["words"]
    assert fitted.score(held_out, dataset.held_out.target) > 0.85


def test_it_passes_the_gates_and_answers_in_words(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx", reason="scikit-learn's converter is in the model's image, not in this environment")
    product = rehearse(folder, tmp_path / "output")
    assert all(gate.passed for gate in product.measured.gates)
    assert {"accuracy/negated/True", "accuracy/negated/False"} <= set(product.measured.own)
    words = np.where(product.answers["log_odds"] > 0, "positive", "negative")
    assert (product.answers["sentiment"] == words).all()
