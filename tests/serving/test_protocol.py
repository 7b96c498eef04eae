"""Requests to arrays and back, without a server."""

import json
from typing import Any

import numpy as np
import orjson
import pytest

from serving.answer import Identity, encode
from serving.errors import RequestError, StartError
from serving.model import Model
from serving.protocol import decode
from tests.support.onnx_models import doubling_model, sum_model, tensor


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(doubling_model())


@pytest.fixture(scope="module")
def adding() -> Model:
    return Model(sum_model())


def body(*inputs: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **fields}).encode()


def test_metadata_of_inputs_and_outputs(model: Model) -> None:
    assert [tensor.metadata() for tensor in model.inputs] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 3]}]
    assert [tensor.metadata() for tensor in model.outputs] == [
        {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "best", "datatype": "INT64", "shape": [-1]},
    ]


@pytest.mark.parametrize("data", [[1, 2.5, 3, 4, 5, 6], [[1, 2.5, 3], [4, 5, 6]]])
def test_flat_and_nested_data_are_the_same(model: Model, data: list[Any]) -> None:
    request = decode(body(tensor([], shape=[2, 3], data=data), id="a"), model)
    assert (request.id, request.rows, request.outputs) == ("a", 2, ["scores", "best"])
    assert request.feeds["pixels"].dtype == np.float32
    assert request.feeds["pixels"].tolist() == [[1, 2.5, 3], [4, 5, 6]]


def test_only_the_outputs_asked_for_are_returned(model: Model) -> None:
    request = decode(body(tensor([[1, 2, 3]]), outputs=[{"name": "best"}], id="id"), model)
    arrays = model.run(request.feeds, request.outputs)
    text, _ = encode(Identity("digits", "v1"), request, [model.outputs[1]], arrays)
    answer = orjson.loads(text)
    assert answer == {
        "model_name": "digits",
        "model_version": "v1",
        "id": "id",
        "outputs": [{"name": "best", "datatype": "INT64", "shape": [1], "data": [2]}],
    }


def test_integers_and_booleans(adding: Model) -> None:
    names = {"left": ("INT32", [1, -2]), "right": ("INT32", [3, 4]), "keep": ("UINT8", [1, 1])}
    inputs = [{"name": name, "datatype": kind, "shape": [2], "data": data} for name, (kind, data) in names.items()]
    drop = {"name": "drop", "datatype": "BOOL", "shape": [2], "data": [False, True]}
    request = decode(body(*inputs, drop), adding)
    assert adding.run(request.feeds, request.outputs)[0].tolist() == [4, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "pixel"}, "unknown tensor 'pixel'; the model has: pixels"),
        ({"datatype": "FP64"}, "input 'pixels': expected datatype FP32, got 'FP64'"),
        ({"shape": [1, 4]}, r"input 'pixels': expected shape \[-1, 3\] \(-1 is any size\), got \[1, 4\]"),
        ({"shape": [0, 3]}, r"got \[0, 3\]"),
        ({"shape": [3]}, r"got \[3\]"),
        ({"shape": [True, 3]}, r"got \[True, 3\]"),
        ({"shape": "3"}, "got '3'"),
        ({"data": None}, "input 'pixels': expected data as a list, got nothing"),
        ({"data": "123"}, "expected data as a list, got str"),
        ({"data": [1, 2]}, r"expected 3 values for shape \[1, 3\], got 2"),
        ({"data": [[1], [2], [3]]}, r"nested as shape \[1, 3\], got another nesting"),
        ({"data": [[1], [2, 3]]}, "or a ragged one"),
        ({"data": ["1", "2", "3"]}, "data has values that are not FP32"),
        ({"data": [True, False, True]}, "data has values that are not FP32"),
        ({"data": [1, 2, 1e39]}, "data has values outside FP32"),
    ],
)
def test_a_bad_tensor_is_named_with_expected_and_given(model: Model, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        decode(body(tensor([[1, 2, 3]], **change)), model)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"[1]", "the body: expected an object, got list"),
        (b"{}", r"inputs: expected a list of tensors \(pixels\), got nothing"),
        (b'{"inputs": []}', "got an empty list"),
        (b'{"inputs": [3]}', "unknown tensor None"),
        (b'{"inputs": [{"name": ["pixels"]}]}', "unknown tensor \\['pixels'\\]"),
        (body(tensor([[1, 2, 3]]), tensor([[1, 2, 3]])), "tensor 'pixels' is given twice"),
        (body(tensor([[1, 2, 3]]), outputs=[{"name": "worst"}]), "unknown tensor 'worst'; the model has: scores, best"),
        (body(tensor([[1, 2, 3]]), id="a\r\nb"), "id: expected 1 to 128 printable"),
        (body(tensor([[1, 2, 3]]), id=""), "id: expected 1 to 128 printable"),
        (body(tensor([[1, 2, 3]]), id=7), "id: expected 1 to 128 printable"),
    ],
)
def test_a_bad_body_is_refused(model: Model, content: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        decode(content, model)


@pytest.mark.parametrize(
    ("name", "kind", "data", "message"),
    [
        ("keep", "UINT8", [256, 0], "input 'keep': data has values outside UINT8"),
        ("keep", "UINT8", [-1, 0], "input 'keep': data has values outside UINT8"),
        ("left", "INT32", [1.5, 0], "input 'left': data has values that are not INT32"),
        ("drop", "BOOL", [0, 1], "input 'drop': data has values that are not BOOL"),
        ("right", "INT32", [1, 2, 3], r"input 'right': expected shape \[-1\] \(-1 is any size\), got \[3\]"),
    ],
)
def test_values_and_sizes_that_do_not_fit(adding: Model, name: str, kind: str, data: list[Any], message: str) -> None:
    good: dict[str, tuple[str, list[Any]]] = {
        "left": ("INT32", [1, 2]),
        "right": ("INT32", [1, 2]),
        "keep": ("UINT8", [1, 1]),
        "drop": ("BOOL", [True, False]),
    }
    inputs = [
        {"name": key, "datatype": datatype, "shape": [len(values)], "data": values}
        for key, (datatype, values) in (good | {name: (kind, data)}).items()
    ]
    with pytest.raises(RequestError, match=message):
        decode(body(*inputs), adding)


def test_a_missing_input_is_named(adding: Model) -> None:
    with pytest.raises(RequestError, match="input 'right' is missing; given are: left"):
        decode(body({"name": "left", "datatype": "INT32", "shape": [1], "data": [1]}), adding)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(StartError, match="cannot be run by ONNX Runtime"):
        Model(b"not a model")
