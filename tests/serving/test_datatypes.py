"""All data types through a socket, as KServe's client sends and reads them; several inputs, open dimensions."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import kserve
import numpy as np
import pytest
from kserve.protocol.infer_type import RequestedOutput
from numpy.typing import NDArray
from onnx import TensorProto

from serving.model import DTYPES
from tests.support import plain_http
from tests.support.onnx_models import copies_model
from tests.support.server import Server, serve

KINDS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False, False, True, True, False],
    "FP16": [0, -0.5, 65504, 6.1e-5, 1, 2],
    "FP32": [0, -0.1, 3.4028234663852886e38, 1e-45, 1, 2],
    "FP64": [0, -0.1, 1.7976931348623157e308, 5e-324, 1, 2],
    "BYTES": ["", "two words", "ünï", "日本\n", '"[{,\\', "a\0b😀"],
}
PATH = "/v2/models/digits/infer"


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("copies"), copies_model(KINDS)) as running:
        yield running


def values(kind: str) -> NDArray[Any]:
    """Return values at the limits of a type, in two rows of three columns."""
    if kind not in VALUES:
        limits = np.iinfo(DTYPES[kind])
        return np.array([limits.min, limits.max, 0, 1, 2, 3], DTYPES[kind]).reshape(2, 3)
    return np.array(VALUES[kind], DTYPES[kind]).reshape(2, 3)


def infer_inputs(binary: bool) -> list[kserve.InferInput]:
    """Return an input of each type; FP16 is always binary, KServe's client sends it in no other way."""
    inputs = []
    for kind in KINDS:
        given = kserve.InferInput(f"in_{kind}", [2, 3], kind)
        given.set_data_from_numpy(values(kind), binary_data=binary or kind == "FP16")
        inputs.append(given)
    return inputs


def send(server: Server, request: kserve.InferRequest) -> httpx.Response:
    content, json_bytes = request.to_rest()
    headers = {"inference-header-content-length": str(json_bytes)} if json_bytes else {}
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return plain_http.post(server.url + PATH, content=content, headers=headers)


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "JSON out"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_type_goes_in_and_out_as_kserve_s_client_has_it(
    copying: Server, kind: str, binary_in: bool, binary_out: bool
) -> None:
    asked = RequestedOutput(f"out_{kind}", {"binary_data": binary_out})
    request = kserve.InferRequest("digits", infer_inputs(binary_in), request_outputs=[asked])
    answer = send(copying, request)
    assert answer.status_code == 200, answer.text
    size = answer.headers.get("inference-header-content-length", len(answer.content))
    response = kserve.InferResponse.from_bytes(answer.content, int(size))
    (output,) = response.outputs
    assert (output.name, output.datatype, output.shape) == (f"out_{kind}", kind, [2, 3])
    assert output.as_numpy().tolist() == values(kind).tolist()


def test_all_outputs_at_once_some_of_them_binary(copying: Server) -> None:
    outputs = [RequestedOutput(f"out_{kind}", {"binary_data": kind in ("BYTES", "INT8")}) for kind in reversed(KINDS)]
    answer = send(copying, kserve.InferRequest("digits", infer_inputs(True), request_outputs=outputs))
    size = int(answer.headers["inference-header-content-length"])
    read = kserve.InferResponse.from_bytes(answer.content, size).outputs
    assert [output.name for output in read] == [f"out_{kind}" for kind in reversed(KINDS)]
    for output in read:
        assert output.as_numpy().tolist() == values(output.datatype).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_may_be_nested_json_of_another_size(copying: Server, kind: str) -> None:
    rows = [values(kind).reshape(-1).tolist()] * 3
    inputs = [
        {"name": f"in_{one}", "datatype": one, "shape": [1, 2], "data": values(one).reshape(-1)[:2].tolist()}
        for one in KINDS
        if one != kind
    ]
    # Dimensions of one name have one size in all inputs of a request.
    wrong = plain_http.post(
        copying.url + PATH,
        json={"inputs": [*inputs, {"name": f"in_{kind}", "datatype": kind, "shape": [3, 6], "data": rows}]},
    )
    assert (wrong.status_code, "expected shape" in wrong.json()["error"]) == (400, True)
    right = {"name": f"in_{kind}", "datatype": kind, "shape": [1, 2], "data": [rows[0][:2]]}
    answer = plain_http.post(
        copying.url + PATH, json={"inputs": [*inputs, right], "outputs": [{"name": f"out_{kind}"}]}
    )
    (output,) = answer.json()["outputs"]
    assert output["shape"] == [1, 2]
    assert np.array(output["data"], DTYPES[kind]).tolist() == rows[0][:2]


def test_the_metadata_names_the_types(copying: Server) -> None:
    metadata = plain_http.get(f"{copying.url}/v2/models/digits").json()
    assert metadata["inputs"] == [{"name": f"in_{kind}", "datatype": kind, "shape": [-1, -1]} for kind in KINDS]
