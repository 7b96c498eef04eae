"""Strings (BYTES) of requests and answers: long JSON lists piece by piece, and the protocol's binary form.

In binary data each string is its length in bytes, four bytes little-endian, and its UTF-8.
Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import math
import re
import sys
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.errors import RequestError, brief
from serving.model import Tensor
from serving.values import check_count, nested_otherwise

LENGTH_BYTES = 4
# The longest JSON of a character, \u0001, and of what is around a string: quotes and a comma.
_CHARACTER_BYTES, _AROUND_BYTES = 6, 3
_UTF8_BYTES = 4
# No alternatives within what gives nothing back (`*+`, `{…}+`): Python before 3.11.5, such as Debian's in the image,
# matches them wrongly.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STRINGS = re.compile(_STRING, re.DOTALL)
# Read at a time: a tenth of a millisecond, unless they are long.
_PIECE = re.compile(rb'(?:[^"]*+%b){1,512}' % _STRING, re.DOTALL)
# What a list goes on with: after its last bracket comes the end of its object, or the next key.
_WITHIN = re.compile(rb'(?:[^]"{}]++|%b|\](?![ \t\r\n]*+(?:\}|,[ \t\r\n]*+"))){1,512}' % _STRING, re.DOTALL)
_NO_STRINGS = re.compile(rb'[^][,"]+')


def list_end(text: bytes | bytearray, start: int) -> int:
    """Return where the JSON list at text[start] ends, which may have strings in it, but no objects; 0 if nowhere."""
    at = start
    while piece := _WITHIN.match(text, at):
        at = piece.end()
    return at + 1 if text[at : at + 1] == b"]" else 0


def from_text(tensor: Tensor, text: bytes, shape: list[int]) -> NDArray[Any]:
    """Return the JSON list of strings `text`, flat or nested as `shape`; raises RequestError."""
    values: list[str] = []
    # The list with a quotation mark for each string.
    marks, at = bytearray(), 0
    while piece := _PIECE.match(text, at):
        try:
            values += orjson.loads(b"[%b]" % b",".join(_STRINGS.findall(piece[0])))
        except orjson.JSONDecodeError as error:
            raise RequestError(f"{tensor.where}: data is not JSON: {error}") from error
        marks += _STRINGS.sub(b'"', piece[0])
        at = piece.end()
    _check_marks(tensor, (marks + text[at:]).translate(None, b" \t\r\n"), len(values), shape)
    return np.array(values, object).reshape(shape)


def _check_marks(tensor: Tensor, marks: bytearray, count: int, shape: list[int]) -> None:
    if other := _NO_STRINGS.search(marks):
        value = other[0].decode("utf-8", "replace")
        raise RequestError(f"{tensor.where}: data has values that are not BYTES, such as {brief(value)}")
    if marks.count(b"[") == 1:
        check_count(tensor, count, shape)
        if marks != b"[" + b'",' * (count - 1) + b'"]':
            raise RequestError(f"{tensor.where}: data has a value that is missing, or no comma between two")
        return
    expected = b'"'
    for size in reversed(shape):
        # Never longer than what it is compared with, whatever the shape says.
        if size * (len(expected) + 1) > len(marks):
            raise nested_otherwise(tensor, shape)
        expected = b"[" + (expected + b",") * (size - 1) + expected + b"]"
    if marks != expected:
        raise nested_otherwise(tensor, shape)


def from_binary(tensor: Tensor, content: bytes | memoryview, shape: list[int]) -> NDArray[Any]:
    """Return `content`, strings behind their lengths, as an array; raises RequestError."""
    count, content = math.prod(shape), memoryview(content)
    if count > len(content) // LENGTH_BYTES:
        raise RequestError(
            f"{tensor.where}: {len(content)} bytes are too few for {count} strings (shape {shape}), each of which has "
            f"its length in {LENGTH_BYTES} bytes before it"
        )
    values, at = np.empty(count, object), 0
    for index in range(count):
        begin = at + LENGTH_BYTES
        end = begin + int.from_bytes(content[at:begin], "little")
        if begin > len(content) or end > len(content):
            raise RequestError(
                f"{tensor.where}: string {index} of {count} (counted from 0) goes beyond the {len(content)} bytes of "
                f"data; before each string there is its length in bytes, {LENGTH_BYTES} bytes little-endian"
            )
        try:
            values[index] = str(content[begin:end], "utf-8")
        except UnicodeDecodeError as error:
            raise RequestError(f"{tensor.where}: string {index} of {count} (counted from 0) is not UTF-8") from error
        at = end
    if at != len(content):
        raise RequestError(f"{tensor.where}: {len(content) - at} bytes follow the {count} strings of shape {shape}")
    return values.reshape(shape)


def to_binary(array: NDArray[Any]) -> bytearray:
    """Return the strings of `array` in their binary form, row by row."""
    content = bytearray()
    for value in array.reshape(-1).tolist():
        text = value.encode()
        content += len(text).to_bytes(LENGTH_BYTES, "little")
        content += text
    return content


def memory(array: NDArray[Any], binary: bool) -> int:
    """Return how many bytes the strings of `array`, and an answer with them, may take."""
    values = array.reshape(-1).tolist()
    characters = sum(map(len, values))
    # Binary data is made first, and then put behind the JSON.
    text = (
        2 * (_UTF8_BYTES * characters + LENGTH_BYTES * len(values))
        if binary
        else _CHARACTER_BYTES * characters + _AROUND_BYTES * len(values)
    )
    return array.nbytes + sum(map(sys.getsizeof, values)) + text
