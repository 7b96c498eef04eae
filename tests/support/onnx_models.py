"""Tiny ONNX models, and a request for one of them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto, helper, numpy_helper


def doubling_model() -> bytes:
    """Return a model of one input `pixels` FP32 [rows, 3] and two outputs: `scores`, twice the input, and `best`."""
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["pixels", "two"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        ],
        "doubling",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 3]),
            helper.make_tensor_value_info("best", TensorProto.INT64, ["rows"]),
        ],
        [numpy_helper.from_array(np.array(2, np.float32), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def sum_model() -> bytes:
    """Return a model that adds `left` and `right` (INT32 [n]) where `keep` (UINT8 [n]) is not `drop` (BOOL [n])."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["keep"], ["kept"], to=TensorProto.BOOL),
            helper.make_node("Xor", ["kept", "drop"], ["wanted"]),
            helper.make_node("Cast", ["wanted"], ["factor"], to=TensorProto.INT32),
            helper.make_node("Add", ["left", "right"], ["all"]),
            helper.make_node("Mul", ["all", "factor"], ["sum"]),
        ],
        "sum",
        [
            value("left", TensorProto.INT32, ["n"]),
            value("right", TensorProto.INT32, ["n"]),
            value("keep", TensorProto.UINT8, ["n"]),
            value("drop", TensorProto.BOOL, ["n"]),
        ],
        [value("sum", TensorProto.INT32, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def onnx_model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
) -> bytes:
    """Return the file of a model."""
    graph = helper.make_graph(nodes, "model", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def copy_model(kind: int, shape: Sequence[str | int] = ("n",)) -> bytes:
    """Return a model whose output `same` is its input `given`, of an ONNX type."""
    value = helper.make_tensor_value_info
    return onnx_model(
        [helper.make_node("Identity", ["given"], ["same"])], [value("given", kind, shape)], [value("same", kind, shape)]
    )


def copies_model(kinds: Mapping[str, int]) -> bytes:
    """Return a model that copies each input `in_<name>` [rows, columns] of an ONNX type to `out_<name>`."""
    value, shape = helper.make_tensor_value_info, ["rows", "columns"]
    return onnx_model(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in kinds],
        [value(f"in_{name}", kind, shape) for name, kind in kinds.items()],
        [value(f"out_{name}", kind, shape) for name, kind in kinds.items()],
    )


def layers_model(layers: int, size: int, location: str) -> tuple[bytes, int]:
    """Return a model of `x` FP32 [rows, size] whose square matrices are in the file `location`, and that file's size.

    One matrix follows the other; it has `layers` of them.
    """
    value, names = helper.make_tensor_value_info, ["x", *(f"h{layer}" for layer in range(layers))]
    weights = [TensorProto(name=f"w{at}", data_type=TensorProto.FLOAT, dims=[size, size]) for at in range(layers)]
    for at, weight in enumerate(weights):
        weight.data_location = TensorProto.EXTERNAL
        entries = {"location": location, "offset": at * 4 * size * size, "length": 4 * size * size}
        weight.external_data.extend(StringStringEntryProto(key=key, value=str(one)) for key, one in entries.items())
    content = onnx_model(
        [helper.make_node("MatMul", [names[at], f"w{at}"], [names[at + 1]]) for at in range(layers)],
        [value("x", TensorProto.FLOAT, ["rows", size])],
        [value(names[-1], TensorProto.FLOAT, ["rows", size])],
        weights,
    )
    return content, layers * 4 * size * size


def wide_model(width: int = 256) -> bytes:
    """Return a model of one input `x` FP32 [n, 16] that computes `width` values per row, and returns one: `y`."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["y"], axes=[1], keepdims=0),
    ]
    weights = numpy_helper.from_array(np.full((16, width), 0.01, np.float32), "w")
    return onnx_model(
        nodes, [value("x", TensorProto.FLOAT, ["n", 16])], [value("y", TensorProto.FLOAT, ["n"])], [weights]
    )


def network_model(width: int, hidden: int, classes: int) -> bytes:
    """Return a network of one hidden layer, as training exports it: `pixels` FP32 [rows, width] to `scores`."""
    value, chance = helper.make_tensor_value_info, np.random.default_rng(7)
    layers = {"weight0": (width, hidden), "bias0": (hidden,), "weight1": (hidden, classes), "bias1": (classes,)}
    return onnx_model(
        [
            helper.make_node("Gemm", ["pixels", "weight0", "bias0"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["active"]),
            helper.make_node("Gemm", ["active", "weight1", "bias1"], ["scores"]),
        ],
        [value("pixels", TensorProto.FLOAT, ["rows", width])],
        [value("scores", TensorProto.FLOAT, ["rows", classes])],
        [
            numpy_helper.from_array(chance.normal(0, 0.05, shape).astype(np.float32), name)
            for name, shape in layers.items()
        ],
    )


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tensor(rows: list[list[float]], **changes: Any) -> dict[str, Any]:
    """Return the input `pixels` of the doubling model, with changes."""
    data = [value for row in rows for value in row]
    return {"name": "pixels", "datatype": "FP32", "shape": [len(rows), 3], "data": data} | changes
