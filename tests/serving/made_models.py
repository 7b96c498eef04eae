"""The models that made requests are for, by the name of their server."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike
from onnx import TensorProto, helper

from serving.model import DTYPES
from tests.support.onnx_models import copy_model, doubling_model, network_model, onnx_model, sum_model

_KINDS = {
    "FP16": TensorProto.FLOAT16,
    "FP64": TensorProto.DOUBLE,
    "INT8": TensorProto.INT8,
    "INT64": TensorProto.INT64,
    "UINT16": TensorProto.UINT16,
    "UINT64": TensorProto.UINT64,
    "BOOL": TensorProto.BOOL,
}


@dataclass(frozen=True)
class Input:
    """An input of a model: open dimensions have names."""

    name: str
    kind: str
    shape: tuple[int | str, ...]

    @property
    def dtype(self) -> DTypeLike:
        """Return its type in NumPy."""
        return DTYPES[self.kind]

    @property
    def width(self) -> int:
        """Return how many values a row has."""
        return int(np.prod([size for size in self.shape if isinstance(size, int)] or [1]))


@dataclass(frozen=True)
class Served:
    """A model's file, what it takes and returns, and settings of its server."""

    content: bytes
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)


def _failing() -> bytes:
    """Return a model that has no result for many inputs: it takes the rows that its input names."""
    value = helper.make_tensor_value_info
    return onnx_model(
        [helper.make_node("Gather", ["table", "given"], ["same"])],
        [value("given", TensorProto.INT32, ["n"]), value("table", TensorProto.FLOAT, ["m", 2])],
        [value("same", TensorProto.FLOAT, ["n", 2])],
    )


def _copies() -> dict[str, Served]:
    return {
        f"copy-{kind.lower()}": Served(copy_model(number), (Input("given", kind, ("n",)),), ("same",))
        for kind, number in _KINDS.items()
    }


MODELS = {
    "doubling": Served(
        doubling_model(), (Input("pixels", "FP32", ("rows", 3)),), ("scores", "best"), {"MAX_BODY_BYTES": "200000"}
    ),
    "null": Served(
        doubling_model(), (Input("pixels", "FP32", ("rows", 3)),), ("scores", "best"), {"NONFINITE_OUTPUTS": "null"}
    ),
    "network": Served(network_model(784, 16, 10), (Input("pixels", "FP32", ("rows", 784)),), ("scores",)),
    "sum": Served(
        sum_model(),
        (
            Input("left", "INT32", ("n",)),
            Input("right", "INT32", ("n",)),
            Input("keep", "UINT8", ("n",)),
            Input("drop", "BOOL", ("n",)),
        ),
        ("sum",),
    ),
    "gather": Served(_failing(), (Input("given", "INT32", ("n",)), Input("table", "FP32", ("m", 2))), ("same",)),
    "scalar": Served(copy_model(TensorProto.FLOAT, ()), (Input("given", "FP32", ()),), ("same",)),
    "cube": Served(copy_model(TensorProto.FLOAT, ("n", 2, 3)), (Input("given", "FP32", ("n", 2, 3)),), ("same",)),
    **_copies(),
}
