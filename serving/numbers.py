"""JSON lists of numbers to arrays without a Python object for each number.

What is returned is what Python's own numbers become in NumPy, value for value. Nothing is explained here: a list that
is not plainly numbers of the tensor's type in the shape asked for is None, and read by those who can say why.
"""

import math
import threading
from typing import Any

import numpy as np
import simdjson
from numpy.typing import NDArray

from serving.model import Tensor

# Parsed at a time: the parser needs memory of fifteen times that, and the piece stays in the processor's cache.
PIECE_BYTES = 32 * 1024
# Rows that are shorter take longer one by one than their brackets do as a whole.
_LEAST_ROW = 32
_FLOATS, _SIGNED, _UNSIGNED = np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.uint64)
_NONE: NDArray[Any] = np.empty(0)
# What the parser calls them.
_LETTERS = {_FLOATS: "d", _SIGNED: "i", _UNSIGNED: "u"}


class _Parsers(threading.local):
    """A parser of each thread: it keeps its memory between texts, and has one text at a time."""

    def __init__(self) -> None:
        # Untyped: what it returns is known from what it does.
        self.parser: Any = simdjson.Parser()


_parsers = _Parsers()


def read(tensor: Tensor, text: bytes, shape: list[int], start: int, end: int) -> NDArray[Any] | None:
    """Return the JSON list text[start:end], flat or in rows, as an array of `shape`; None when it is anything else."""
    kind, count = tensor.dtype.kind, math.prod(shape)
    # No value and its comma are shorter: memory is taken for what may be there, whatever the shape says.
    if kind == "b" or not 0 < count <= (end - start) // 2:
        return None
    wide = _FLOATS if kind == "f" else _UNSIGNED if tensor.datatype == "UINT64" else _SIGNED
    try:
        if text.find(b"[", start + 1, end) == -1:
            array = _flat(tensor, text, wide, count, start, end)
        elif len(shape) == 2 and shape[1] >= _LEAST_ROW:
            array = _rows(tensor, text, wide, shape, start, end)
        else:
            return None
    # What the parser refuses, such as other types and numbers of more than 64 bits; AttributeError: a row is no list.
    except (ValueError, TypeError, AttributeError, RuntimeError):
        return None
    return None if array is None else array.reshape(shape)


def _flat(tensor: Tensor, text: bytes, wide: np.dtype[Any], count: int, start: int, end: int) -> NDArray[Any] | None:
    if end - start <= PIECE_BYTES:
        values = _values(text[start:end], wide)
        array = values.astype(tensor.dtype, copy=False)
        return array if values.size == count and _all_fit(array, values) else None
    whole, filled, view = np.empty(count, tensor.dtype), 0, memoryview(text)
    start, end = start + 1, end - 1
    while start <= end:
        stop = end if end - start <= PIECE_BYTES else text.rfind(b",", start, start + PIECE_BYTES)
        values = _values(_as_list(view[start:stop]), wide) if stop > start else _NONE
        if not values.size or not _put(whole, filled, values):
            return None
        filled, start = filled + values.size, stop + 1
    return whole if filled == count else None


def _rows(
    tensor: Tensor, text: bytes, wide: np.dtype[Any], shape: list[int], start: int, end: int
) -> NDArray[Any] | None:
    """Return rows of one length: as many brackets as there are rows leave no room for another nesting."""
    if text.count(b"[", start, end) != shape[0] + 1:
        return None
    whole, filled, view = np.empty(math.prod(shape), tensor.dtype), 0, memoryview(text)
    start, end = start + 1, end - 1
    while True:
        stop = end if end - start <= PIECE_BYTES else text.rfind(b"]", start, start + PIECE_BYTES) + 1
        rows = _parsed_rows(_as_list(view[start:stop]), wide) if stop > start else []
        for row in rows:
            if row.size != shape[1] or not _put(whole, filled, row):
                return None
            filled += row.size
        comma = text.find(b",", stop, end)
        if not rows or text[stop : end if comma == -1 else comma].strip(b" \t\r\n"):
            return None
        if comma == -1:
            return whole if filled == whole.size else None
        start = comma + 1


def _as_list(piece: memoryview) -> bytes:
    return b"".join((b"[", piece, b"]"))


def _values(text: bytes, wide: np.dtype[Any]) -> NDArray[Any]:
    """Return the numbers of a list; raises what the parser raises, or AttributeError."""
    return np.frombuffer(_parsers.parser.parse(text).as_buffer(of_type=_LETTERS[wide]), wide)


def _parsed_rows(text: bytes, wide: np.dtype[Any]) -> list[NDArray[Any]]:
    """Return the numbers of each list of a list; raises what the parser raises, or AttributeError."""
    # Nothing of the parser's is left when this returns: it takes no other text before.
    return [np.frombuffer(row.as_buffer(of_type=_LETTERS[wide]), wide) for row in _parsers.parser.parse(text)]


def _put(whole: NDArray[Any], at: int, values: NDArray[Any]) -> bool:
    """Put the values into `whole` in its type; return whether there is room for them, and all of them fit the type."""
    part = whole[at : at + values.size]
    if part.size != values.size:
        return False
    part[...] = values
    return _all_fit(part, values)


def _all_fit(array: NDArray[Any], values: NDArray[Any]) -> bool:
    """Return whether `array`, which is `values` in another type, has room for all of them."""
    if array.dtype == values.dtype:
        return True
    if array.dtype.kind == "f":
        # What is infinite in a narrower type makes the sum infinite, or not a number.
        return math.isfinite(np.add.reduce(array)) or bool(np.isfinite(array).all())
    return bool((array == values).all())
