"""Open Inference Protocol v2 over JSON: requests to arrays, arrays to responses.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.errors import RequestError
from serving.model import Model, Tensor

# Which kinds of JSON values a tensor of a NumPy kind may be given as: b booleans, i and u integers, f numbers.
ACCEPTED_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}
MAX_ID_LENGTH = 128


@dataclass(frozen=True)
class InferenceRequest:
    """A checked request: `feeds` have dtype and shape of the model's inputs; `rows` is their first dimension."""

    id: str | None
    feeds: dict[str, NDArray[Any]]
    outputs: list[str]
    rows: int


def check_id(text: object, where: str) -> str:
    """Return a request id; raises RequestError unless it is 1 to 128 printable ASCII characters."""
    if isinstance(text, str) and 0 < len(text) <= MAX_ID_LENGTH and text.isascii() and text.isprintable():
        return text
    raise RequestError(f"{where}: expected 1 to {MAX_ID_LENGTH} printable ASCII characters")


def decode(body: bytes | bytearray, model: Model) -> InferenceRequest:
    """Return the request; raises RequestError that names the tensor, what is expected and what was given."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(f"the body: expected an object, got {_kind(document)}")
    given = _named(document.get("inputs"), "inputs", [tensor.name for tensor in model.inputs])
    sizes: dict[str, int] = {}
    feeds = {}
    for tensor in model.inputs:
        if tensor.name not in given:
            raise RequestError(f"input {tensor.name!r} is missing; given are: {', '.join(given)}")
        feeds[tensor.name] = _array(tensor, given[tensor.name], sizes)
    outputs = model.output_names
    if document.get("outputs"):
        outputs = list(_named(document["outputs"], "outputs", model.output_names))
    first = feeds[model.inputs[0].name]
    return InferenceRequest(
        id=check_id(document["id"], "id") if document.get("id") is not None else None,
        feeds=feeds,
        outputs=outputs,
        rows=first.shape[0] if first.ndim else 1,
    )


def encode(
    model: str, release: str, request_id: str, tensors: Iterable[Tensor], arrays: Sequence[NDArray[Any]]
) -> bytes:
    """Return the response body; raises RequestError (500) when an output is not a finite number JSON can carry."""
    outputs = []
    for tensor, array in zip(tensors, arrays, strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RequestError(f"output {tensor.name!r} has values that are not finite", status=500)
        outputs.append(
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": array.shape,
                "data": np.ascontiguousarray(array).reshape(-1),
            }
        )
    return orjson.dumps(
        {"model_name": model, "model_version": release, "id": request_id, "outputs": outputs},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _named(entries: object, where: str, known: Sequence[str]) -> dict[str, dict[str, Any]]:
    if not isinstance(entries, list) or not entries:
        raise RequestError(f"{where}: expected a list of tensors ({', '.join(known)}), got {_kind(entries)}")
    named: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in known:
            raise RequestError(f"{where}: unknown tensor {_brief(name)}; the model has: {', '.join(known)}")
        if name in named:
            raise RequestError(f"{where}: tensor {name!r} is given twice")
        named[name] = entry
    return named


def _array(tensor: Tensor, given: dict[str, Any], sizes: dict[str, int]) -> NDArray[Any]:
    where = f"input {tensor.name!r}"
    if given.get("datatype") != tensor.datatype:
        raise RequestError(f"{where}: expected datatype {tensor.datatype}, got {_brief(given.get('datatype'))}")
    shape = _shape(tensor, given.get("shape"), sizes)
    if not isinstance(given.get("data"), list):
        raise RequestError(f"{where}: expected data as a list, got {_kind(given.get('data'))}")
    try:
        values = np.array(given["data"])
    except ValueError as error:
        raise RequestError(
            f"{where}: expected data as a flat list or nested as shape {shape}, got a ragged one"
        ) from error
    if values.dtype.kind not in ACCEPTED_KINDS[tensor.dtype.kind]:
        raise RequestError(f"{where}: data has values that are not {tensor.datatype}")
    if values.size != math.prod(shape) or (values.ndim != 1 and list(values.shape) != shape):
        raise RequestError(
            f"{where}: expected {math.prod(shape)} values for shape {shape}, got {values.size} in {list(values.shape)}"
        )
    return _cast(where, values, tensor).reshape(shape)


def _cast(where: str, values: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    if tensor.dtype.kind in "iu":
        limits = np.iinfo(tensor.dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise RequestError(f"{where}: data has values outside {tensor.datatype}")
        return values.astype(tensor.dtype)
    with np.errstate(over="ignore"):
        array = values.astype(tensor.dtype)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RequestError(f"{where}: data has values outside {tensor.datatype}")
    return array


def _shape(tensor: Tensor, given: object, sizes: dict[str, int]) -> list[int]:
    expected = tensor.metadata()["shape"]
    if not isinstance(given, list) or len(given) != len(tensor.shape) or any(type(size) is not int for size in given):
        raise RequestError(f"input {tensor.name!r}: expected shape {expected} (-1 is any size), got {_brief(given)}")
    for size, wanted in zip(given, tensor.shape, strict=True):
        # A named dimension has one size in all inputs of a request.
        bound = sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted
        if size < 1 or (bound is not None and size != bound):
            raise RequestError(f"input {tensor.name!r}: expected shape {expected} (-1 is any size), got {given}")
    return given


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _kind(value: object) -> str:
    return "nothing" if value is None else f"an empty {type(value).__name__}" if not value else type(value).__name__
