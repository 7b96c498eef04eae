"""Outputs of the model to the body of an answer: JSON, or JSON with binary tensors behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving import strings
from serving.errors import RequestError
from serving.model import Tensor
from serving.numbers import finite
from serving.protocol import InferenceRequest

# The longest JSON of one value with its comma: -1.7976931348623157e+308.
JSON_VALUE_BYTES = 25
# The encoder knows arrays of numbers alone; of strings it takes a list.
_json = partial(orjson.dumps, default=np.ndarray.tolist, option=orjson.OPT_SERIALIZE_NUMPY)
# Values written at a time: about a millisecond.
PIECE_VALUES = 16 * 1024
_ROWS_NAMED = 5
# For how many shapes of outputs it is remembered what stands around the values.
_MOST_KNOWN = 256


@dataclass(frozen=True)
class Identity:
    """What answers: the model's name, its release, and whether values that are not finite are null or refused."""

    model: str
    release: str
    null_if_not_finite: bool = False


@dataclass(frozen=True)
class Output:
    """An output of the model, and its binary data if it was asked for as such."""

    tensor: Tensor
    array: NDArray[Any]
    binary: memoryview | bytearray | None = None

    def entry(self, with_data: bool = True) -> dict[str, Any]:
        """Return what of it stands in the JSON."""
        entry: dict[str, Any] = {
            "name": self.tensor.name, "datatype": self.tensor.datatype, "shape": self.array.shape,
        }  # fmt: skip
        if self.binary is not None:
            entry["parameters"] = {"binary_data_size": len(self.binary)}
        elif with_data:
            entry["data"] = np.ascontiguousarray(self.array).reshape(-1)
        return entry


def memory(tensors: Sequence[NDArray[Any]], binary: Sequence[bool]) -> int:
    """Return how many bytes the body of an answer with these outputs may have, and strings in it besides."""
    return sum(map(_memory, tensors, binary))


def encode(
    identity: Identity, request: InferenceRequest, tensors: Sequence[Tensor], arrays: Sequence[NDArray[Any]]
) -> tuple[bytes | bytearray, int | None]:
    """Return the body, and how much of it is JSON when binary tensors follow it.

    Raises RequestError (422) that names the rows when an output has values that are not finite, unless they are to be
    null. Binary tensors carry them as they are then.
    """
    for tensor, array in zip(tensors, arrays, strict=True):
        if _has_to_be_finite(identity, array) and not finite(array):
            raise _not_finite(tensor, array)
    answer: dict[str, object] = {"model_name": identity.model, "model_version": identity.release}
    if request.id is not None:
        answer["id"] = request.id
    outputs = [
        Output(tensor, array, _binary(array) if tensor.name in request.binary else None)
        for tensor, array in zip(tensors, arrays, strict=True)
    ]
    if max([array.size for array in arrays]) <= PIECE_VALUES:
        answer["outputs"] = [output.entry() for output in outputs]
        body: bytes | bytearray = _json(answer)
    else:
        body = _write_pieces(answer, outputs)
    if not request.binary:
        return body, None
    json_bytes, body = len(body), bytearray(body)
    for output in outputs:
        if output.binary is not None:
            body += output.binary
    return body, json_bytes


class Writer:
    """Writes answers as encode does, but for requests without binary outputs: all but the values is as before."""

    def __init__(self, identity: Identity, outputs: Sequence[Tensor]) -> None:
        """Write what `identity` answers; `outputs` are the model's."""
        self._identity, self._outputs = identity, {tensor.name: tensor for tensor in outputs}
        self._begin = orjson.dumps({"model_name": identity.model, "model_version": identity.release})[:-1]
        self._known: dict[tuple[object, ...], list[tuple[bytes, Tensor | None]]] = {}

    def write(self, request: InferenceRequest, arrays: Sequence[NDArray[Any]]) -> bytes:
        """Return the body; raises RequestError as encode does."""
        key = (*request.outputs, *[array.shape for array in arrays])
        known = self._known.get(key) or self._learn(key, request, arrays)
        pieces = [self._begin]
        if request.id is not None:
            pieces += b',"id":', orjson.dumps(request.id)
        for (before, checked), array in zip(known, arrays, strict=True):
            values = _json(array.reshape(-1))
            # What is not finite is null in JSON, and numbers have no such letter.
            if checked is not None and b"n" in values:
                raise _not_finite(checked, array)
            pieces += before, values
        pieces.append(b"}]}")
        return b"".join(pieces)

    def _learn(
        self, key: tuple[object, ...], request: InferenceRequest, arrays: Sequence[NDArray[Any]]
    ) -> list[tuple[bytes, Tensor | None]]:
        """Return what stands before the values of each output, and the output if its values have to be finite."""
        known: list[tuple[bytes, Tensor | None]] = []
        for name, array in zip(request.outputs, arrays, strict=True):
            tensor = self._outputs[name]
            entry = orjson.dumps(Output(tensor, array).entry(with_data=False))
            before = (b"}," if known else b',"outputs":[') + entry[:-1] + b',"data":'
            known.append((before, tensor if _has_to_be_finite(self._identity, array) else None))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = known
        return known


def _has_to_be_finite(identity: Identity, array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and not identity.null_if_not_finite


def _memory(array: NDArray[Any], binary: bool) -> int:
    if array.dtype.kind == "O":
        return strings.memory(array, binary)
    return array.nbytes if binary else JSON_VALUE_BYTES * array.size


def _write_pieces(answer: dict[str, object], outputs: Sequence[Output]) -> bytearray:
    """Return the JSON, written a piece at a time: between two of them other threads get their turn."""
    body = bytearray(orjson.dumps(answer)[:-1] + b',"outputs":[')
    for output in outputs:
        body += orjson.dumps(output.entry(with_data=False))
        if output.binary is None:
            body[-1:] = b',"data":['
            flat = np.ascontiguousarray(output.array).reshape(-1)
            for start in range(0, flat.size, PIECE_VALUES):
                piece = flat[start : start + PIECE_VALUES]
                body += _json(piece)[1:-1] + b","
            body = _close(body, b"]}")
        body += b","
    return _close(body, b"]}")


def _close(text: bytearray, end: bytes) -> bytearray:
    """Put `end` in the place of the comma that `text` ends with, if it does."""
    if text.endswith(b","):
        del text[-1:]
    text += end
    return text


def _binary(array: NDArray[Any]) -> memoryview | bytearray:
    if array.dtype.kind == "O":
        return strings.to_binary(array)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1).data.cast("B")


def _not_finite(tensor: Tensor, array: NDArray[Any]) -> RequestError:
    """Return the refusal of `array` that names the first rows with values that are not finite."""
    if not array.ndim:
        return RequestError(f"output {tensor.name!r} is not finite: {array} for this input", status=422)
    wrong = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    rows = ", ".join(map(str, wrong[:_ROWS_NAMED]))
    more = f" and {len(wrong) - _ROWS_NAMED} more" if len(wrong) > _ROWS_NAMED else ""
    return RequestError(
        f"output {tensor.name!r} has values that are not finite, in row{'s' if len(wrong) > 1 else ''} {rows}{more} "
        f"of {len(array)} (counted from 0); send the request without, or with other values in, what makes them",
        status=422,
    )
