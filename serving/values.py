"""Numbers of a request to arrays: JSON lists, long JSON texts piece by piece, and binary data."""

import math
import warnings
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving import numbers
from serving.errors import RequestError, brief
from serving.model import Tensor

# What becomes infinite in a cast or in a sum is looked at, and refused.
warnings.filterwarnings("ignore", "(overflow|invalid value) encountered in (cast|reduce)", RuntimeWarning)

# Which JSON values a tensor of a NumPy kind may be given as: b booleans, i and u integers, f numbers, O strings.
# JSON has no NaN: null is a number that is missing, as clients write it and as binary data may have it.
ACCEPTED: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float, NoneType}, "O": {str}}
# Text turned into Python objects at a time: a few hundred kilobytes of objects, about a millisecond.
PIECE_BYTES = 32 * 1024
_NUMBERS = b"+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AS_ONE = bytes.maketrans(_NUMBERS, b"1" * len(_NUMBERS))
_WITHOUT_BRACKETS = bytes.maketrans(b"[]", b"  ")
_SPACE = b" \t\r\n"


def from_list(tensor: Tensor, data: list[Any], shape: list[int]) -> NDArray[Any]:
    """Return `data`, flat or nested as `shape`; raises RequestError that says what does not fit."""
    flat = _flat(tensor, data, shape)
    check_count(tensor, len(flat), shape)
    return _convert(tensor, flat).reshape(shape)


def from_text(tensor: Tensor, text: bytes, shape: list[int]) -> NDArray[Any]:
    """Return the JSON list `text` (numbers, booleans, brackets) as from_list does, without one object per number.

    Beside the text itself it takes at most twice its size and the array; raises RequestError.
    """
    array = numbers.read(tensor, text, shape)
    return _from_pieces(tensor, text, shape) if array is None else array


def _from_pieces(tensor: Tensor, text: bytes, shape: list[int]) -> NDArray[Any]:
    """Return what from_text does, for every list; raises RequestError that says what does not fit."""
    if text.find(b"[", 1) != -1:
        _check_nesting(tensor, text, shape)
        text = text.translate(_WITHOUT_BRACKETS)
    check_count(tensor, text.count(b",") + 1, shape)
    # Looked at in the text: without a letter of true, false and null a list has numbers only, as floats all are taken.
    checked = tensor.dtype.kind == "f" and not any(letter in text for letter in (b"t", b"f", b"n"))
    start, end = (1, len(text) - 1) if text.startswith(b"[") else (0, len(text))
    array, filled = np.empty(math.prod(shape), tensor.dtype), 0
    while start <= end:
        stop = end if end - start <= PIECE_BYTES else text.rfind(b",", start, start + PIECE_BYTES)
        try:
            values = orjson.loads(b"[%b]" % text[start:stop]) if stop >= start else []
        except orjson.JSONDecodeError as error:
            raise RequestError(f"{tensor.where}: data is not JSON: {error}") from error
        if not values:
            raise RequestError(f"{tensor.where}: data has a value that is missing, or no number")
        array[filled : filled + len(values)] = _convert(tensor, values, checked)
        filled, start = filled + len(values), stop + 1
    return array.reshape(shape)


def from_binary(tensor: Tensor, content: bytes | memoryview, shape: list[int]) -> NDArray[Any]:
    """Return `content`, little-endian and row by row, as an array; raises RequestError when its size does not fit."""
    expected = math.prod(shape) * tensor.dtype.itemsize
    if len(content) != expected:
        raise RequestError(f"{tensor.where}: expected {expected} bytes for shape {shape}, got {len(content)}")
    array: NDArray[Any] = np.frombuffer(content, tensor.dtype.newbyteorder("<")).reshape(shape)
    if tensor.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise RequestError(f"{tensor.where}: a BOOL is one byte, 0 or 1; data has others")
    # The data may begin at any byte of the body; ONNX Runtime expects whole words.
    return array if array.flags.aligned else array.copy()


def _flat(tensor: Tensor, data: list[Any], shape: list[int]) -> list[Any]:
    if not data or type(data[0]) is not list:
        return data
    rows = [data]
    for size in shape:
        if any(type(row) is not list or len(row) != size for row in rows):
            raise nested_otherwise(tensor, shape)
        rows = list(chain.from_iterable(rows))
    return rows


def _check_nesting(tensor: Tensor, text: bytes, shape: list[int]) -> None:
    """Compare the brackets and commas of `text` with those of `shape`."""
    marks = text.translate(_AS_ONE, _SPACE)
    # A number stands between commas and brackets, not beside a bracket on the wrong side.
    wrong = b"1[" in marks or b"]1" in marks
    marks = marks.translate(None, b"1")
    expected = b""
    for size in reversed(shape):
        # Never longer than what it is compared with, whatever the shape says.
        if size * (len(expected) + 1) > len(marks):
            wrong = True
            break
        expected = b"[" + (expected + b",") * (size - 1) + expected + b"]"
    if wrong or expected != marks:
        raise nested_otherwise(tensor, shape)


def check_count(tensor: Tensor, count: int, shape: list[int]) -> None:
    """Raise RequestError unless a list has as many values as its shape."""
    if count != math.prod(shape):
        raise RequestError(f"{tensor.where}: expected {math.prod(shape)} values for shape {shape}, got {count}")


def nested_otherwise(tensor: Tensor, shape: list[int]) -> RequestError:
    """Return the refusal of a list whose brackets are not those of its shape."""
    return RequestError(
        f"{tensor.where}: expected data as a flat list or nested as shape {shape}, got another nesting, or a ragged one"
    )


def _convert(tensor: Tensor, values: list[Any], checked: bool = False) -> NDArray[Any]:
    """Return `values`, whose types are `checked` already or not, in the tensor's dtype; raises RequestError."""
    if not checked and not ACCEPTED[tensor.dtype.kind].issuperset(map(type, values)):
        wrong = next(value for value in values if type(value) not in ACCEPTED[tensor.dtype.kind])
        raise RequestError(f"{tensor.where}: data has values that are not {tensor.datatype}, such as {brief(wrong)}")
    try:
        array: NDArray[Any] = np.array(values, tensor.dtype)
    except OverflowError as error:
        raise _outside(tensor) from error
    # What is NaN was null: an infinite value is one that the type has no room for.
    if tensor.dtype.kind == "f" and not numbers.finite(array) and np.isinf(array).any():
        raise _outside(tensor)
    return array


def _outside(tensor: Tensor) -> RequestError:
    limits = np.finfo(tensor.dtype) if tensor.dtype.kind == "f" else np.iinfo(tensor.dtype)
    return RequestError(
        f"{tensor.where}: data has values outside {tensor.datatype}, which is from {limits.min} to {limits.max}"
    )
