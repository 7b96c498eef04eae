"""Numbers of requests and answers: exact integers, long bodies, binary tensors, values that are not finite."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from onnx import TensorProto

from serving.answer import PIECE_VALUES, Identity, encode
from serving.document import SMALL_BYTES
from serving.errors import RequestError
from serving.model import Model
from serving.protocol import decode
from tests.support.onnx_models import copy_model, doubling_model

KINDS = {
    "INT64": TensorProto.INT64,
    "UINT64": TensorProto.UINT64,
    "UINT8": TensorProto.UINT8,
    "BOOL": TensorProto.BOOL,
    "FP16": TensorProto.FLOAT16,
    "FP64": TensorProto.DOUBLE,
}
IDENTITY = Identity("copy", "v1")


@pytest.fixture(scope="module")
def doubling() -> Model:
    return Model(doubling_model())


def request(kind: str, data: Any, shape: Sequence[int], name: str = "given", **fields: Any) -> bytes:
    document = {"inputs": [{"name": name, "datatype": kind, "shape": shape, "data": data}]}
    return json.dumps(document | fields).encode()


def copied(kind: str, data: list[Any]) -> list[Any]:
    """Return `data` after its way through a model that copies it."""
    model = Model(copy_model(KINDS[kind]))
    asked = decode(request(kind, data, [len(data)]), model)
    text, _ = encode(IDENTITY, asked, model.outputs, model.run(asked.feeds, asked.outputs))
    (output,) = orjson.loads(text)["outputs"]
    values: list[Any] = output["data"]
    return values


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("UINT64", [1, 2**64 - 1]),
        ("UINT64", [2**53 + 1, 0]),
        ("INT64", [2**53 + 1, -(2**63), 2**63 - 1]),
        ("FP64", [0.1, 1, -1.7976931348623157e308]),
        ("FP16", [0.5, 65504]),
        ("BOOL", [True, False]),
    ],
)
@pytest.mark.parametrize("times", [1, 10_000])
def test_values_are_exact_on_the_way_in_and_out(kind: str, data: list[Any], times: int) -> None:
    assert copied(kind, data * times) == data * times


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("UINT64", [1, -1], "outside UINT64, which is from 0 to 18446744073709551615"),
        ("UINT64", [1, 2**64], "not UINT64, such as 1.8446744073709552e"),
        ("INT64", [1, 2**63], "outside INT64, which is from -9223372036854775808 to 9223372036854775807"),
        ("UINT8", [1, 256], "outside UINT8, which is from 0 to 255"),
        ("UINT8", [1, True], "not UINT8, such as True"),
        ("UINT8", [1, 2.0], "not UINT8, such as 2.0"),
        ("FP64", [1, True], "not FP64, such as True"),
        ("FP16", [1, 65520], "outside FP16"),
        ("BOOL", [True, 1], "not BOOL, such as 1"),
    ],
)
@pytest.mark.parametrize("times", [1, 10_000])
def test_a_value_that_does_not_fit_is_refused_by_name(kind: str, data: list[Any], message: str, times: int) -> None:
    with pytest.raises(RequestError, match=f"input 'given': .*{message}"):
        decode(request(kind, data * times, [len(data) * times]), Model(copy_model(KINDS[kind])))


ROWS = [[float(row), 0.5, -1e-3] for row in range(10_000)]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), ("\n ,\t", "\r\n:")])
@pytest.mark.parametrize("flat", [True, False])
def test_a_long_body_is_the_same_as_a_short_one(doubling: Model, separators: tuple[str, str], flat: bool) -> None:
    data = [value for row in ROWS for value in row] if flat else ROWS
    document = {
        "id": 'a"data":[1]',
        "inputs": [{"data": data, "datatype": "FP32", "shape": [10_000, 3], "name": "pixels"}],
    }
    body = json.dumps(document, separators=separators).encode()
    assert len(body) > SMALL_BYTES
    asked = decode(body, doubling)
    assert asked.id == 'a"data":[1]'
    assert asked.feeds["pixels"].tolist() == np.array(ROWS, np.float32).tolist()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" + b"[1,2,3]," * 9_999 + b"[1,2]]", "another nesting, or a ragged one"),
        (b"[" + b"[1,2,3]," * 9_998 + b"[1,2,3,1],[2,3]]", "another nesting, or a ragged one"),
        (b"[" + b"[1,2,3]," * 9_999 + b"[1,2],3]", "another nesting, or a ragged one"),
        (b"[" + b"[1,2,3]," * 9_999 + b"[1,2]3]", "another nesting, or a ragged one"),
        (b"[" + b"[1,2,3]," * 9_999 + b"1[,2,3]]", "another nesting, or a ragged one"),
        (b"[[" + b"1,2,3," * 9_999 + b"1,2,3]]", "another nesting, or a ragged one"),
        (b"[" + b"[]," * 29_999 + b"[]]", "another nesting, or a ragged one"),
        (b"[" * 40_000 + b"]" * 40_000, "another nesting, or a ragged one"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2]", "expected 30000 values for shape .*, got 29999"),
        (b"[" + b"1,2,3," * 9_999 + b"1,,3]", "data is not JSON|missing"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2,]", "data is not JSON|missing"),
        (b"[" + b", " * 29_999 + b"]", "data is not JSON|missing"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2 2,3]", "data is not JSON"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2,3]3]", "data is not JSON"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2,NaN]", "data is not JSON"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2,1e999]", "data is not JSON"),
        (b"[" + b"1,2,3," * 9_999 + b"1,null,1e39]", "outside FP32"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2,true]", "not FP32, such as True"),
        (b"[" + b"1,2,3," * 9_999 + b"1,2,1e39]", "outside FP32"),
        (b"[1" + b"0" * 99_999 + b"]", "expected 30000 values for shape .*, got 1"),
        (b"[" + b'"1",' * 29_999 + b'"1"]', "bytes of it are no list of numbers"),
        (b"[" + b"{}," * 29_999 + b"{}]", "bytes of it are no list of numbers"),
        (b'"' + b"1" * 40_000 + b'"', "bytes of it are no list of numbers"),
    ],
)
def test_a_long_body_that_is_wrong_is_refused(doubling: Model, data: bytes, message: str) -> None:
    body = request("FP32", "@", [10_000, 3], "pixels").replace(b'"@"', data)
    with pytest.raises(RequestError, match=message):
        decode(body, doubling)


@pytest.mark.parametrize("rows", [2, 10_000])
@pytest.mark.parametrize("flat", [True, False])
def test_a_number_that_is_missing_is_null(doubling: Model, rows: int, flat: bool) -> None:
    given = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    given[1, 2] = given[-1, 0] = np.nan
    nested = [[None if np.isnan(value) else float(value) for value in row] for row in given]
    data = [value for row in nested for value in row] if flat else nested
    feeds = decode(request("FP32", data, [rows, 3], "pixels"), doubling).feeds
    np.testing.assert_array_equal(feeds["pixels"], given)


@pytest.mark.parametrize(("kind", "data"), [("INT64", [1, None]), ("BOOL", [True, None])])
@pytest.mark.parametrize("times", [1, 10_000])
def test_other_values_are_not_null(kind: str, data: list[Any], times: int) -> None:
    model = Model(copy_model(KINDS[kind]))
    with pytest.raises(RequestError, match=f"not {kind}, such as None"):
        decode(request(kind, data * times, [2 * times]), model)


@pytest.mark.parametrize("body", [b'"data":[' * 100_000, b'{"data":[1],"inputs":' * 5_000, b'"data":' * 100_000])
def test_many_lists_are_refused(doubling: Model, body: bytes) -> None:
    with pytest.raises(RequestError, match="more than 256 times data"):
        decode(body, doubling)


@pytest.mark.parametrize("size", [10**30, 2**63 - 1, 2**31])
@pytest.mark.parametrize("data", [[1, 2, 3], [[1, 2, 3]] * 20_000, [1, 2, 3] * 20_000])
def test_a_shape_beyond_all_memory_is_refused(doubling: Model, size: int, data: list[Any]) -> None:
    with pytest.raises(RequestError, match="input 'pixels'"):
        decode(request("FP32", data, [size, 3], "pixels"), doubling)


def binary(parts: dict[str, Any], data: bytes, **fields: Any) -> tuple[bytes, int]:
    """Return a body with binary `data`, and how much of it is JSON."""
    entry = {"name": "pixels", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}} | parts
    head = json.dumps({"inputs": [entry]} | fields).encode()
    return head + data, len(head)


def test_binary_tensors_go_in_and_out(doubling: Model) -> None:
    rows = np.array([[1, 2, 3], [3, 2, 1.5]], np.float32)
    outputs = [{"name": "best"}, {"name": "scores", "parameters": {"binary_data": True}}]
    asked = decode(*_swap(binary({}, rows.tobytes(), outputs=outputs), doubling))
    assert asked.feeds["pixels"].tolist() == rows.tolist()
    body, size = encode(IDENTITY, asked, list(doubling.outputs)[::-1], doubling.run(asked.feeds, asked.outputs))
    assert orjson.loads(body[:size])["outputs"] == [
        {"name": "best", "datatype": "INT64", "shape": [2], "data": [2, 0]},
        {"name": "scores", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}},
    ]
    assert np.frombuffer(body[size:], "<f4").tolist() == (2 * rows).reshape(-1).tolist()


def _swap(body: tuple[bytes, int], model: Model) -> tuple[bytes, Model, int]:
    return body[0], model, body[1]


@pytest.mark.parametrize(
    ("parts", "data", "message"),
    [
        ({}, b"\0" * 23, "binary_data_size is 24; the body has 23 bytes left"),
        ({}, b"\0" * 25, "the body has 25 bytes after its JSON; the inputs' binary_data_size say 24"),
        ({"shape": [1, 3]}, b"\0" * 24, r"expected 12 bytes for shape \[1, 3\], got 24"),
        ({"shape": [10**18, 3]}, b"\0" * 24, "expected .* bytes for shape"),
        ({"parameters": {"binary_data_size": -1}}, b"\0" * 24, "binary_data_size is -1"),
        ({"parameters": {"binary_data_size": "24"}}, b"\0" * 24, "binary_data_size is '24'"),
        ({"parameters": {"shared_memory_region": "r"}}, b"", "shared memory is not supported"),
        ({"parameters": {}}, b"", "expected data as a list, got nothing"),
    ],
)
def test_binary_data_that_does_not_fit_is_refused(
    doubling: Model, parts: dict[str, Any], data: bytes, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        decode(*_swap(binary(parts, data), doubling))


def test_binary_data_without_its_header_says_what_is_missing(doubling: Model) -> None:
    body, size = binary({}, b"")
    with pytest.raises(RequestError, match="needs the header Inference-Header-Content-Length"):
        decode(body, doubling)
    with pytest.raises(RequestError, match="is 999, but the body has"):
        decode(body, doubling, 999)
    with pytest.raises(RequestError, match="must be the size of the JSON in bytes"):
        decode(body, doubling, size - 1)


def test_a_bool_is_one_byte_zero_or_one() -> None:
    model = Model(copy_model(KINDS["BOOL"]))
    parts = {"name": "given", "datatype": "BOOL", "shape": [3], "parameters": {"binary_data_size": 3}}
    assert decode(*_swap(binary(parts, b"\0\1\1"), model)).feeds["given"].tolist() == [False, True, True]
    with pytest.raises(RequestError, match="a BOOL is one byte, 0 or 1"):
        decode(*_swap(binary(parts, b"\0\1\2"), model))


def test_classification_is_refused(doubling: Model) -> None:
    outputs = [{"name": "scores", "parameters": {"classification": 2}}]
    with pytest.raises(RequestError, match="output 'scores': classification is not supported"):
        decode(request("FP32", [1, 2, 3], [1, 3], "pixels", outputs=outputs), doubling)


def test_rows_that_are_not_finite_are_named(doubling: Model) -> None:
    asked = decode(request("FP32", [0] * 30, [10, 3], "pixels", outputs=[{"name": "scores"}]), doubling)
    scores = np.zeros((10, 3), np.float32)
    scores[2, 1] = np.nan
    with pytest.raises(RequestError, match="output 'scores' has values that are not finite, in row 2 of 10") as refused:
        encode(IDENTITY, asked, doubling.outputs[:1], [scores])
    assert refused.value.status == 422
    scores[3:] = np.inf
    with pytest.raises(RequestError, match=r"in rows 2, 3, 4, 5, 6 and 3 more of 10 \(counted from 0\)"):
        encode(IDENTITY, asked, doubling.outputs[:1], [scores])


@pytest.mark.parametrize("rows", [2, PIECE_VALUES])
def test_values_that_are_not_finite_can_be_null(doubling: Model, rows: int) -> None:
    asked = decode(request("FP32", [0] * 3 * rows, [rows, 3], "pixels", outputs=[{"name": "scores"}]), doubling)
    scores = np.ones((rows, 3), np.float32)
    scores[1] = [np.nan, np.inf, -np.inf]
    text, _ = encode(Identity("copy", "v1", null_if_not_finite=True), asked, doubling.outputs[:1], [scores])
    (output,) = orjson.loads(text)["outputs"]
    assert output["data"] == [1, 1, 1, None, None, None] + [1, 1, 1] * (rows - 2)


def test_a_long_answer_is_the_same_as_a_short_one(doubling: Model) -> None:
    rows = PIECE_VALUES
    asked = decode(request("FP32", [1] * 3 * rows, [rows, 3], "pixels", id="long"), doubling)
    arrays = doubling.run(asked.feeds, asked.outputs)
    text, _ = encode(IDENTITY, asked, doubling.outputs, arrays)
    assert orjson.loads(text) == {
        "model_name": "copy",
        "model_version": "v1",
        "id": "long",
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [rows, 3], "data": [2.0] * 3 * rows},
            {"name": "best", "datatype": "INT64", "shape": [rows], "data": [0] * rows},
        ],
    }
