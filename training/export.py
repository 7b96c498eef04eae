"""Export of a trained network to ONNX, and the proof that the exported file computes the same.

The graph is written node by node: its bytes depend on the weights alone, so an equal network has an equal digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.errors import TrainingError

OPSET = 17
IR_VERSION = 8
PARITY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: `weight` float32 [inputs, outputs], `bias` float32 [outputs]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """Largest absolute difference between the trainer's scores and the exported file's, over `rows` rows."""

    max_abs_difference: float
    rows: int


def to_onnx(layers: Sequence[Dense], *, name: str, input_name: str, output_name: str) -> bytes:
    """Return the ONNX file of `layers` joined by ReLU, taking float32 [rows, inputs]."""
    nodes, initialisers = [], []
    value = input_name
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        weight, bias, sums = f"weight{index}", f"bias{index}", output_name if last else f"sums{index}"
        initialisers.append(numpy_helper.from_array(np.ascontiguousarray(layer.weight, np.float32), weight))
        initialisers.append(numpy_helper.from_array(np.ascontiguousarray(layer.bias, np.float32), bias))
        nodes.append(helper.make_node("Gemm", [value, weight, bias], [sums], name=f"gemm{index}"))
        if not last:
            value = f"activations{index}"
            nodes.append(helper.make_node("Relu", [sums], [value], name=f"relu{index}"))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["rows", layers[0].weight.shape[0]])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["rows", layers[-1].weight.shape[1]])],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="stellwerk")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def scores_of(content: bytes, input_name: str, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores that ONNX Runtime computes from the exported file, float32 [n, outputs]."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {input_name: inputs})[0], dtype=np.float32)


def compare(trained: NDArray[np.float32], exported: NDArray[np.float32]) -> Parity:
    """Return how far the two sets of scores, float32 [n, outputs], are apart.

    Raise TrainingError when they differ by more than 1e-4, relative to scores larger than 1.
    """
    if trained.shape != exported.shape:
        raise TrainingError(f"export: trained scores {list(trained.shape)}, exported scores {list(exported.shape)}")
    difference = float(np.abs(trained - exported).max())
    allowed = PARITY_TOLERANCE * max(1.0, float(np.abs(trained).max()))
    # Written so that a NaN fails too.
    if not difference <= allowed:
        raise TrainingError(f"export: scores differ by {difference:g} from the trained model, allowed is {allowed:g}")
    return Parity(max_abs_difference=difference, rows=len(trained))
