"""A framework for tests, which needs none: a fitted model is one layer, or a function of its own for the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.document import Model
from training.export import canonical


@dataclass(frozen=True)
class Layer:
    """`weight` float32 [inputs, outputs], `bias` float32 [outputs]; `error` is added to its own answers."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    error: float = 0.0


def prepare(device: str, seed: int) -> None:
    """Nothing is random."""


def answers(fitted: Layer, model: Model, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    (rows,) = inputs.values()
    return {model.outputs[0].name: rows @ fitted.weight + fitted.bias + np.float32(fitted.error)}


def export(fitted: Layer, model: Model, sample: Mapping[str, NDArray[Any]], path: Path) -> None:
    path.write_bytes(to_onnx(fitted, model.name, model.inputs[0].name, model.outputs[0].name))


def write_external(layer: Layer, path: Path, location: str) -> None:
    """Write the file, its matrix in another one beside it."""
    model = onnx.load_model_from_string(to_onnx(layer, "digits", "pixels", "scores"))
    onnx.save_model(model, path, save_as_external_data=True, location=location, size_threshold=1024)


def to_onnx(layer: Layer, name: str, given: str, answered: str, comment: str = "") -> bytes:
    """The file as training publishes it, but for what `canonical` removes of the comment."""
    node = helper.make_node("Gemm", [given, "weight", "bias"], [answered], name="gemm", doc_string=comment)
    sizes = layer.weight.shape
    graph = helper.make_graph(
        [node],
        comment,
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, ["rows", sizes[0]])],
        [helper.make_tensor_value_info(answered, TensorProto.FLOAT, ["rows", sizes[1]])],
        [numpy_helper.from_array(layer.weight, "weight"), numpy_helper.from_array(layer.bias, "bias")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name=comment)
    made.ir_version = 8
    return canonical(made.SerializeToString(), name)
