"""The ONNX file and its parity with the trained network."""

import numpy as np
import pytest

from training.errors import TrainingError
from training.export import Dense, compare, scores_of, to_onnx

RANDOM = np.random.default_rng(3)
LAYERS = (
    Dense(RANDOM.normal(size=(5, 8)).astype(np.float32), RANDOM.normal(size=8).astype(np.float32)),
    Dense(RANDOM.normal(size=(8, 4)).astype(np.float32), RANDOM.normal(size=4).astype(np.float32)),
)


def export(layers: tuple[Dense, ...] = LAYERS) -> bytes:
    return to_onnx(layers, name="digits", input_name="pixels", output_name="scores")


@pytest.mark.parametrize("rows", [1, 7])
def test_the_file_computes_what_the_layers_say(rows: int) -> None:
    inputs = RANDOM.normal(size=(rows, 5)).astype(np.float32)
    wanted = np.maximum(inputs @ LAYERS[0].weight + LAYERS[0].bias, 0) @ LAYERS[1].weight + LAYERS[1].bias
    parity = compare(wanted, scores_of(export(), "pixels", inputs))
    assert parity.rows == rows
    assert parity.max_abs_difference < 1e-5


def test_equal_layers_give_equal_bytes_and_other_layers_give_others() -> None:
    other = (LAYERS[0], Dense(LAYERS[1].weight, LAYERS[1].bias + 1))
    assert export() == export()
    assert export() != export(other)


@pytest.mark.parametrize("broken", [1.001, np.nan])
def test_scores_that_differ_are_refused(broken: float) -> None:
    with pytest.raises(TrainingError, match="scores differ by"):
        compare(np.ones((2, 2), np.float32), np.array([[1, 1], [1, broken]], np.float32))


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"trained scores \[2, 2\], exported scores \[2, 3\]"):
        compare(np.ones((2, 2), np.float32), np.ones((2, 3), np.float32))
