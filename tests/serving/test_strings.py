"""Strings: JSON lists short and long, the binary form, and what is wrong in them."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from onnx import TensorProto, helper

from serving import strings
from serving.answer import Identity, Writer, encode, memory
from serving.document import SMALL_BYTES
from serving.errors import RequestError
from serving.model import Model, ModelError
from serving.protocol import decode
from tests.support import plain_http
from tests.support.binary_strings import binary, packed
from tests.support.onnx_models import copies_model, copy_model, onnx_model
from tests.support.server import Server

IDENTITY = Identity("copy", "v1")
ODD = ["", "a", "ü", "日本", "😀", 'a"b', "a\\", "],[", '"}', "{", "a\nb", "\0", ' "data": ["x"] ', "1", "null", "true"]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(copy_model(TensorProto.STRING, ["n", 2]))


def body(data: Any, shape: list[int], **fields: Any) -> bytes:
    given = {"name": "given", "data": data, "datatype": "BYTES", "shape": shape}
    return json.dumps({"id": "a", "inputs": [given]} | fields, ensure_ascii=len(data) % 2 == 0).encode()


@pytest.mark.parametrize("rows", [1, 8, 9, 4000, 4001])
@pytest.mark.parametrize("nested", [True, False])
def test_strings_come_and_go_as_they_are(model: Model, rows: int, nested: bool) -> None:
    values = (ODD * rows)[: 2 * rows]
    wanted = [values[at : at + 2] for at in range(0, 2 * rows, 2)]
    content = body(wanted if nested else values, [rows, 2])
    assert (len(content) > SMALL_BYTES) == (rows > 1000)
    request = decode(content, model)
    assert request.feeds["given"].tolist() == wanted
    arrays = model.run(request.feeds, request.outputs)
    text, json_bytes = encode(IDENTITY, request, model.outputs, arrays)
    assert json_bytes is None
    (output,) = orjson.loads(text)["outputs"]
    assert output == {"name": "same", "datatype": "BYTES", "shape": [rows, 2], "data": values}
    assert orjson.loads(Writer(IDENTITY, model.outputs).write(request, arrays)) == orjson.loads(text)
    assert len(text) < memory(arrays, [False]) + 200


@pytest.mark.parametrize("rows", [1, 8, 9000])
def test_binary_strings_come_and_go_as_they_are(model: Model, rows: int) -> None:
    values = (ODD * rows)[: 2 * rows]
    data = binary(*[value.encode() for value in values])
    content, size = packed(data, [rows, 2], parameters={"binary_data_output": True})
    request = decode(content, model, size)
    assert request.feeds["given"].reshape(-1).tolist() == values
    arrays = model.run(request.feeds, request.outputs)
    text, json_bytes = encode(IDENTITY, request, model.outputs, arrays)
    assert json_bytes is not None
    (output,) = orjson.loads(text[:json_bytes])["outputs"]
    assert output["parameters"] == {"binary_data_size": len(data)}
    assert text[json_bytes:] == data
    assert len(text) < memory(arrays, [True]) + 200


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["a"], r"expected 2 values for shape \[1, 2\], got 1"),
        ([["a"], ["b"]], "another nesting, or a ragged one"),
        ([["a", ["b"]]], r"data has values that are not BYTES, such as \['b'\]"),
        (["a", 1], "data has values that are not BYTES, such as 1"),
        (["a", None], "data has values that are not BYTES, such as None"),
        (["a", True], "data has values that are not BYTES, such as True"),
        ([["a", {}]], "data has values that are not BYTES, such as {}"),
        (7, "expected data as a list, got int"),
        ("ab", "expected data as a list, got str"),
    ],
)
def test_what_is_no_list_of_strings_is_refused(model: Model, data: Any, message: str) -> None:
    content = json.dumps({"inputs": [{"name": "given", "datatype": "BYTES", "shape": [1, 2], "data": data}]}).encode()
    with pytest.raises(RequestError, match=f"input 'given': .*{message}"):
        decode(content, model)


ROW = b'["ab]","c,d"]'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" + (ROW + b",") * 3999 + b'["ab"]]', "another nesting, or a ragged one"),
        (b"[" + (ROW + b",") * 3999 + b'["ab","c","d"]]', "another nesting, or a ragged one"),
        (b"[" + (ROW + b",") * 3999 + b'["ab" "c"]]', "another nesting, or a ragged one"),
        (b"[" + (ROW + b",") * 3999 + b'["ab",["c"]]]', "another nesting, or a ragged one"),
        (b"[" + b'"ab",' * 7998 + b'"ab"]', r"expected 8000 values for shape \[4000, 2\], got 7999"),
        (b"[" + b'"ab",' * 7999 + b',"ab"]', "a value that is missing, or no comma between two"),
        (b"[" + b'"ab",' * 7999 + b'"ab",]', "a value that is missing, or no comma between two"),
        (b"[" + b'"ab",' * 7998 + b'"ab" "ab"]', "a value that is missing, or no comma between two"),
        (b"[" + b'"ab",' * 7999 + b"7.5]", "not BYTES, such as '7.5'"),
        (b"[" + b'"ab",' * 7999 + b"null]", "not BYTES, such as 'null'"),
        (b"[" + b"1," * 39_999 + b"1]", "not BYTES, such as '1'"),
        (b"[" + b'"ab",' * 7999 + b'"\\ud800"]', "data is not JSON"),
        (b"[" + b'"ab",' * 7999 + b'"\\x"]', "data is not JSON"),
        (b"[" + b'"ab",' * 7999 + b'"a\nb"]', "data is not JSON"),
        (b"[" + b'"ab",' * 7999 + b'"\xff"]', "data is not JSON"),
        (b"[" + b'"ab",' * 7999 + b"{}]", "bytes of it are no list of numbers or strings"),
        (b"[" + b'"ab",' * 7999 + b'"ab]', "bytes of it are no list of numbers or strings"),
        (b'"' + b"a" * 40_000 + b'"', "bytes of it are no list of numbers or strings"),
        (b"[" * 40_000 + b'"a"' + b"]" * 40_000, "another nesting, or a ragged one"),
    ],
)
def test_a_long_body_that_is_wrong_is_refused(model: Model, data: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        decode(body("@@", [4000, 2]).replace(b'"@@"', data), model)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (binary(b"a"), "5 bytes are too few for 2 strings"),
        (binary(b"a", b"b") + b"c", r"1 bytes follow the 2 strings of shape \[1, 2\]"),
        (binary(b"a", b"\xff"), r"string 1 of 2 \(counted from 0\) is not UTF-8"),
        (binary(b"a", b"\xed\xa0\x80"), "string 1 of 2 .* is not UTF-8"),
        (binary(b"a") + b"\2\0\0\0b", "string 1 of 2 .* goes beyond the 10 bytes of data"),
        (binary(b"abcdef") + b"\1\0", "string 1 of 2 .* goes beyond the 12 bytes of data"),
        (b"\xff" * 4 + binary(b"b"), "string 0 of 2 .* goes beyond the 9 bytes of data"),
    ],
)
def test_binary_strings_that_are_wrong_are_refused(model: Model, data: bytes, message: str) -> None:
    content, size = packed(data, [1, 2])
    with pytest.raises(RequestError, match=f"input 'given': .*{message}"):
        decode(content, model, size)


def test_a_shape_beyond_all_memory_is_refused(model: Model) -> None:
    content, size = packed(binary(b"a", b"b"), [2**60, 2])
    with pytest.raises(RequestError, match="bytes are too few for"):
        decode(content, model, size)
    with pytest.raises(RequestError, match="another nesting"):
        decode(body([["a", "b"]] * 10_000, [2**60, 2]), model)


def test_numbers_beside_strings_are_read_as_ever() -> None:
    mixed = Model(copies_model({"text": TensorProto.STRING, "number": TensorProto.FLOAT}))
    texts, numbers = [[f"a{row}"] for row in range(9000)], [[row / 2] for row in range(9000)]
    inputs = [
        {"data": texts, "name": "in_text", "datatype": "BYTES", "shape": [9000, 1]},
        {"name": "in_number", "datatype": "FP32", "shape": [9000, 1], "data": numbers},
    ]
    request = decode(json.dumps({"inputs": inputs}, separators=(" , ", " : ")).encode(), mixed)
    assert request.feeds["in_text"].tolist() == texts
    assert request.feeds["in_number"].tolist() == numbers
    inputs[1]["data"] = texts
    with pytest.raises(RequestError, match="input 'in_number'"):
        decode(json.dumps({"inputs": inputs}).encode(), mixed)


def test_the_list_ends_where_its_object_does() -> None:
    text = rb'{"data": [ ["a]\"" ,"}"] , ["],\"x\":"]] , "shape": [1]}'
    end = strings.list_end(text, text.index(b"["))
    assert text[end:] == rb' , "shape": [1]}'


def test_a_run_is_as_long_as_its_strings_are_not_only_as_many(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    # A run of this size is short, however busy the machine is.
    monkeypatch.setattr(model, "_clock", lambda: 0)
    request = decode(body(["abc", "de"], [1, 2]), model)
    assert request.size == (1, 2, 5)
    assert model.warm_up() is None
    assert model.short_runs.covers((1, 2, 2))
    assert not model.short_runs.covers(request.size)


def broken_strings() -> bytes:
    table = TensorProto(name="table", data_type=TensorProto.STRING, dims=[2], string_data=[b"ok", b"\xff"])
    value = helper.make_tensor_value_info
    return onnx_model(
        [helper.make_node("Gather", ["table", "given"], ["same"])],
        [value("given", TensorProto.INT64, ["n"])],
        [value("same", TensorProto.STRING, ["n"])],
        [table],
    )


def test_a_model_whose_strings_are_not_utf_8_has_no_result() -> None:
    model = Model(broken_strings())
    assert model.run({"given": np.array([0])}, ["same"])[0].tolist() == ["ok"]
    with pytest.raises(ModelError, match="a string that is not UTF-8"):
        model.run({"given": np.array([1])}, ["same"])
    assert "a string that is not UTF-8" in str(model.warm_up())


def parsing_model() -> bytes:
    value = helper.make_tensor_value_info
    return onnx_model(
        [helper.make_node("Cast", ["given"], ["same"], to=TensorProto.FLOAT)],
        [value("given", TensorProto.STRING, ["n"])],
        [value("same", TensorProto.FLOAT, ["n"])],
    )


def test_strings_through_a_server(start: Callable[..., Server]) -> None:
    server = start(parsing_model())
    # Warm by now: it has parsed the string that each value is at the start.
    assert len(server.lines()) == 1
    url = f"{server.url}/v2/models/digits/infer"

    def ask(*values: str) -> tuple[int, Any]:
        given = {"name": "given", "datatype": "BYTES", "shape": [len(values)], "data": values}
        answer = plain_http.post(url, json={"inputs": [given]})
        return answer.status_code, answer.json()

    assert ask("1.5", "-2")[1]["outputs"][0]["data"] == [1.5, -2]
    assert ask(*["0.25"] * 20_000)[1]["outputs"][0]["data"] == [0.25] * 20_000
    status, answer = ask("1.5", "two")
    assert (status, "the model has no result for these inputs" in answer["error"]) == (422, True), answer
    content, size = packed(binary(b"\xff"), [1])
    refused = plain_http.post(url, content=content, headers={"inference-header-content-length": str(size)})
    assert (refused.status_code, "string 0 of 1" in refused.json()["error"]) == (400, True)
    assert ask("1")[0] == 200
