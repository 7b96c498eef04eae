"""The adapter of Keras: what it exports computes what the model says, in the same bytes for the same weights.

Keras is in the images of models, not in the development environment: without it nothing of this runs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.test_data import MODEL as SMALL
from training.document import Column
from training.errors import TrainingError
from training.export import answers_of, canonical, compare
from training.frameworks import adapter

pytest.importorskip("jax2onnx", reason="Keras and its converter are in the images of models, not in this environment")
framework = adapter("keras")
keras = pytest.importorskip("keras")
MODEL = replace(
    SMALL,
    inputs=(Column("series", "FP32", (12, 1)), Column("place", "FP32", (2,)), Column("kind", "INT32", (1,))),
    outputs=(Column("next", "FP32", (3,)),),
)


def rows(count: int) -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {
        "series": random.normal(size=(count, 12, 1)).astype(np.float32),
        "place": random.normal(size=(count, 2)).astype(np.float32),
        "kind": random.integers(0, 4, (count, 1)).astype(np.int32),
    }


def fitted(seed: int = 3) -> Any:
    framework.prepare("cpu", seed)
    layers = keras.layers
    series, place, kind = layers.Input((12, 1)), layers.Input((2,)), layers.Input((1,), dtype="int32")
    known = [layers.GRU(4)(series), layers.Dropout(0.5)(place), layers.Flatten()(layers.Embedding(4, 3)(kind))]
    return keras.Model([series, place, kind], layers.Dense(3)(layers.Concatenate()(known)))


def exported(model: Any, path: Path) -> bytes:
    framework.export(model, MODEL, rows(2), path / "model.onnx")
    return canonical((path / "model.onnx").read_bytes(), MODEL.name)


def test_several_inputs_and_an_open_number_of_rows(tmp_path: Path) -> None:
    model = fitted()
    content = exported(model, tmp_path)
    for count in (1, 1200):
        given = rows(count)
        parity = compare(framework.answers(model, MODEL, given), answers_of(content, MODEL, given))
        assert (parity.rows, parity.max_abs_difference < 1e-5) == (count, True)


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    first = exported(fitted(), tmp_path)
    assert exported(fitted(), tmp_path) == first
    assert exported(fitted(seed=4), tmp_path) != first


def test_what_is_not_a_model_is_named() -> None:
    with pytest.raises(TrainingError, match=r"`fit` has returned dict; with Keras it returns a keras\.Model"):
        framework.answers({}, MODEL, rows(1))


def test_cuda_is_refused() -> None:
    with pytest.raises(TrainingError, match="STELLWERK_DEVICE is 'cuda', and Keras trains on the CPU"):
        framework.prepare("cuda", 1)
