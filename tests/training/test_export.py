"""The ONNX file: its bytes, its interface, and its parity with the trained model."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from tests.support.linear import Layer, answers, to_onnx
from tests.support.models import training_model
from training.document import Column
from training.errors import TrainingError
from training.export import answers_of, canonical, compare

RANDOM = np.random.default_rng(3)
LAYER = Layer(RANDOM.normal(size=(64, 10)).astype(np.float32), RANDOM.normal(size=10).astype(np.float32))
MODEL = training_model()


def export(layer: Layer = LAYER, comment: str = "") -> bytes:
    return to_onnx(layer, "digits", "pixels", "scores", comment)


@pytest.mark.parametrize("rows", [1, 7, 2500])
def test_the_file_computes_what_the_model_says(rows: int) -> None:
    inputs = {"pixels": RANDOM.normal(size=(rows, 64)).astype(np.float32)}
    parity = compare(answers(LAYER, MODEL, inputs), answers_of(export(), MODEL, inputs))
    assert parity.rows == rows
    assert parity.max_abs_difference < 1e-5


def test_equal_weights_give_equal_bytes_and_others_give_others() -> None:
    assert export() == export(comment="at line 7 of /home/somebody/train.py")
    assert b"somebody" not in export(comment="somebody")
    assert export() != export(Layer(LAYER.weight, LAYER.bias + 1))


def test_a_file_that_is_no_model_is_refused() -> None:
    model = onnx.load_model_from_string(export())
    model.graph.node[0].input[0] = "elsewhere"
    with pytest.raises(TrainingError, match="export: the file is no valid ONNX model"):
        canonical(model.SerializeToString(), "digits")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": (Column("grey", "FP32", (64,)),)}, r"inputs of the exported file are pixels FP32 \[-1, 64\]"),
        ({"inputs": (Column("pixels", "FP64", (64,)),)}, r"the model's document says pixels FP64 \[-1, 64\]"),
        ({"outputs": (Column("scores", "FP32", (11,)),)}, r"outputs .* says scores FP32 \[-1, 11\]"),
    ],
)
def test_another_interface_than_the_documents_is_refused(changed: dict[str, tuple[Column]], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        answers_of(export(), replace(MODEL, **changed), {"pixels": np.zeros((1, 64), np.float32)})  # type: ignore[arg-type]


def test_a_file_that_does_not_run_is_named_with_the_reason() -> None:
    with pytest.raises(
        TrainingError, match=r"ONNX Runtime does not run the exported file of digits: .*INVALID_PROTOBUF"
    ):
        answers_of(b"no model", MODEL, {"pixels": np.zeros((1, 64), np.float32)})
    with pytest.raises(TrainingError, match=r"ONNX Runtime does not run the exported file of digits: .*dimensions"):
        answers_of(export(), MODEL, {"pixels": np.zeros((1, 63), np.float32)})


def test_what_is_no_protobuf_is_refused() -> None:
    with pytest.raises(TrainingError, match="no valid ONNX model"):
        canonical(b"no model", "digits")


@pytest.mark.parametrize("broken", [1.001, np.nan])
def test_answers_that_differ_are_refused(broken: float) -> None:
    given, other = np.ones((2, 2), np.float32), np.array([[1, 1], [1, broken]], np.float32)
    with pytest.raises(TrainingError, match="scores differs by"):
        compare({"scores": given}, {"scores": other})


def test_texts_are_equal_or_not() -> None:
    given, other = np.array(["a", "b"], object), np.array(["a", "c"], object)
    assert compare({"label": given}, {"label": given}).max_abs_difference == 0
    with pytest.raises(TrainingError, match="label differs by"):
        compare({"label": given}, {"label": other})


def test_answers_of_another_shape_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"the trained model answers \[2, 2\], the exported one \[2, 3\]"):
        compare({"scores": np.ones((2, 2))}, {"scores": np.ones((2, 3))})
