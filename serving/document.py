"""A request's body to a document: JSON with long lists of values left out, and the binary tensors behind it.

Binary tensor data extension: the header ``Inference-Header-Content-Length`` says how many bytes of the body are JSON;
the data of the inputs with a parameter ``binary_data_size`` follows in their order.
Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import re
import secrets
from typing import Any, NamedTuple

import orjson
from numpy.typing import NDArray

from serving import strings
from serving.errors import RequestError, brief, kind
from serving.model import BYTES, Runner, Tensor
from serving.values import from_binary, from_list, from_text

# JSON this short is turned into objects as a whole: a megabyte of them at most, in about a millisecond.
SMALL_BYTES = 32 * 1024


class Factors(NamedTuple):
    """How many bytes of memory a byte of a body needs at most: of its JSON, and of its binary data."""

    json: int
    binary: int


# Itself, a copy of the text, and an FP64 of two bytes.
NUMBERS = Factors(7, 2)
# Strings of one character: an object and two references to it here, a string in ONNX Runtime.
STRINGS = Factors(36, 24)
# Those that a model returns are here beside the ones it was given.
STRINGS_BOTH_WAYS = Factors(56, 40)
MOST_LISTS = 256
_OPENING = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")
# Stands in the document for a list that was left out; nobody outside knows it.
_LEFT_OUT = secrets.token_hex(16)


def factors(model: Runner) -> Factors:
    """Return what bodies for `model` need."""
    if not model.takes_strings:
        return NUMBERS
    return STRINGS_BOTH_WAYS if model.returns_strings else STRINGS


def memory(body_bytes: int, json_bytes: int | None, factors: Factors = NUMBERS) -> int:
    """Return how much memory a body may need from its arrival to its arrays; `json_bytes` when the rest is binary."""
    if json_bytes is None or json_bytes > body_bytes:
        return SMALL_BYTES + factors.json * body_bytes
    return SMALL_BYTES + factors.json * json_bytes + factors.binary * (body_bytes - json_bytes)


class Document:
    """The parsed JSON of a request (`fields`), and access to the values of its inputs."""

    def __init__(self, body: bytes | bytearray, json_bytes: int | None = None, takes_strings: bool = False) -> None:
        """Parse `body`, of which the first `json_bytes` (all when None) are JSON; raises RequestError.

        Long lists of strings are refused unless the model `takes_strings`.
        """
        self._text, self._has_binary, self._taken = body, False, 0
        self._takes_strings = takes_strings
        self._binary: bytes | memoryview = b""
        self._lists: list[tuple[int, int]] = []
        if json_bytes is not None:
            if json_bytes > len(body):
                raise RequestError(
                    f"header Inference-Header-Content-Length: is {json_bytes}, but the body has {len(body)} bytes"
                )
            self._text, self._binary, self._has_binary = body[:json_bytes], memoryview(body)[json_bytes:], True
        text = self._text if len(self._text) <= SMALL_BYTES else self._leave_out_lists()
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise RequestError(f"the body is not JSON: {error}{self._hint()}") from error
        if not isinstance(fields, dict):
            raise RequestError(f"the body: expected an object, got {kind(fields)}")
        self.fields: dict[str, Any] = fields

    def array(self, tensor: Tensor, given: dict[str, Any], shape: list[int]) -> NDArray[Any]:
        """Return the values of an input; called in the order of the inputs. Raises RequestError."""
        parameters, has_strings = given.get("parameters"), tensor.datatype == BYTES
        if isinstance(parameters, dict):
            if "shared_memory_region" in parameters:
                raise RequestError(f"{tensor.where}: shared memory is not supported; send data or binary data")
            if "binary_data_size" in parameters:
                part = self._part(tensor, parameters["binary_data_size"])
                return strings.from_binary(tensor, part, shape) if has_strings else from_binary(tensor, part, shape)
        data = given.get("data")
        if isinstance(data, str) and data.startswith(_LEFT_OUT):
            start, end = self._lists[int(data[len(_LEFT_OUT) :])]
            text = bytes(memoryview(self._text)[start:end])
            return strings.from_text(tensor, text, shape) if has_strings else from_text(tensor, text, shape)
        if not isinstance(data, list):
            raise RequestError(f"{tensor.where}: expected data as a list, got {kind(data)}")
        return from_list(tensor, data, shape)

    def check_end(self) -> None:
        """Raise RequestError unless all binary data belongs to an input."""
        if self._taken != len(self._binary):
            raise RequestError(
                f"the body has {len(self._binary)} bytes after its JSON; the inputs' binary_data_size say {self._taken}"
            )

    def _part(self, tensor: Tensor, size: object) -> bytes | memoryview:
        if not self._has_binary:
            raise RequestError(
                f"{tensor.where}: binary_data_size needs the header Inference-Header-Content-Length (bytes of JSON)"
            )
        left = len(self._binary) - self._taken
        if type(size) is not int or not 0 <= size <= left:
            raise RequestError(f"{tensor.where}: binary_data_size is {brief(size)}; the body has {left} bytes left")
        self._taken += size
        return self._binary[self._taken - size : self._taken]

    def _leave_out_lists(self) -> bytes:
        """Return the JSON with each list of values under a key `data` replaced by its number; raises RequestError."""
        text, pieces, done = self._text, [], 0
        at = text.find(b'"data"')
        for _ in range(MOST_LISTS):
            if at == -1:
                break
            opening = _OPENING.match(text, at + 6)
            if opening:
                start = opening.end() - 1
                # No text and no object is part of a list of numbers, so it ends before the next one begins or ends.
                stop = text.find(b'"', start)
                stop = stop if stop != -1 else len(text)
                stop = min(
                    stop, *(end for end in (text.find(mark, start, stop) for mark in (b"{", b"}")) if end != -1), stop
                )
                end = text.rfind(b"]", start, stop) + 1
                if not end and self._takes_strings:
                    end = strings.list_end(text, start)
                if end:
                    pieces += [bytes(text[done:start]), b'"%b%d"' % (_LEFT_OUT.encode(), len(self._lists))]
                    self._lists.append((start, end))
                    done = end
            at = text.find(b'"data"', max(done, at + 6))
        else:
            raise RequestError(f"the body: more than {MOST_LISTS} times data")
        rest = len(text) - done + sum(map(len, pieces))
        if rest > SMALL_BYTES:
            what = "numbers or strings" if self._takes_strings else "numbers"
            raise RequestError(
                f"the body: {rest} bytes of it are no list of {what} under data; at most {SMALL_BYTES} may be", 413
            )
        return b"".join([*pieces, bytes(text[done:])])

    def _hint(self) -> str:
        if self._has_binary:
            return "; the header Inference-Header-Content-Length must be the size of the JSON in bytes"
        return "; binary tensors need the header Inference-Header-Content-Length"
