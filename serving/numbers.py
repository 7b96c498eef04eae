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
PIECE_BYTES = 64 * 1024
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


class Reader:
    """Reads the lists of a tensor of one shape."""

    def __init__(self, tensor: Tensor, shape: list[int]) -> None:
        """Prepare all that does not depend on the numbers."""
        self.shape, self.count = shape, math.prod(shape)
        self.dtype = tensor.dtype
        self.wide = _FLOATS if self.dtype.kind == "f" else _UNSIGNED if tensor.datatype == "UINT64" else _SIGNED
        self.letter = _LETTERS[self.wide]
        self._in_rows = len(shape) == 2 and shape[1] >= _LEAST_ROW
        self._possible = self.dtype.kind not in "bO" and self.count > 0
        self._may_overflow = self.dtype.kind == "f" and self.dtype != _FLOATS

    def read(self, text: bytes | bytearray, start: int, end: int) -> NDArray[Any] | None:
        """Return the JSON list text[start:end], flat or in rows, as an array; None when it is anything else."""
        # No value and its comma are shorter: memory is taken for what may be there, whatever the shape says.
        if not self._possible or self.count > (end - start) // 2:
            return None
        try:
            if text.find(b"[", start + 1, end) == -1:
                array = self._short(text[start:end]) if end - start <= PIECE_BYTES else _long(self, text, start, end)
            else:
                array = _rows(self, text, start, end) if self._in_rows else None
        # The parser refuses other types, and numbers of more than 64 bits; AttributeError: a row is no list.
        except (ValueError, TypeError, AttributeError, RuntimeError):
            return None
        if array is None or (self._may_overflow and not finite(array)):
            return None
        return array.reshape(self.shape)

    def values(self, text: bytes | bytearray) -> NDArray[Any]:
        """Return the numbers of a list, in 64 bits each; raises what the parser raises, or AttributeError."""
        return np.frombuffer(_parsers.parser.parse(text).as_buffer(of_type=self.letter), self.wide)

    def rows(self, text: bytes) -> list[NDArray[Any]]:
        """Return the numbers of each list of a list; raises what the parser raises, or AttributeError."""
        # Nothing of the parser's is left when this returns: it takes no other text before.
        return [np.frombuffer(row.as_buffer(of_type=self.letter), self.wide) for row in _parsers.parser.parse(text)]

    def _short(self, text: bytes | bytearray) -> NDArray[Any] | None:
        values = self.values(text)
        array = values.astype(self.dtype, copy=False)
        return array if values.size == self.count and _exact(array, values) else None


def read(tensor: Tensor, text: bytes, shape: list[int]) -> NDArray[Any] | None:
    """Return the JSON list `text`, flat or in rows, as an array of `shape`; None when it is anything else."""
    return Reader(tensor, shape).read(text, 0, len(text))


def finite(array: NDArray[Any]) -> bool:
    """Return whether no value of `array` (floats) is infinite or NaN; such a value makes the sum one, too."""
    return math.isfinite(np.add.reduce(array.reshape(-1))) or bool(np.isfinite(array).all())


def _long(reader: Reader, text: bytes | bytearray, start: int, end: int) -> NDArray[Any] | None:
    whole, filled, view = np.empty(reader.count, reader.dtype), 0, memoryview(text)
    start, end = start + 1, end - 1
    while start <= end:
        stop = end if end - start <= PIECE_BYTES else text.rfind(b",", start, start + PIECE_BYTES)
        values = reader.values(_as_list(view[start:stop])) if stop > start else _NONE
        if not values.size or not _put(whole, filled, values):
            return None
        filled, start = filled + values.size, stop + 1
    return whole if filled == reader.count else None


def _rows(reader: Reader, text: bytes | bytearray, start: int, end: int) -> NDArray[Any] | None:
    """Return rows of one length: as many brackets as there are rows leave no room for another nesting."""
    if text.count(b"[", start, end) != reader.shape[0] + 1:
        return None
    whole, filled, view = np.empty(reader.count, reader.dtype), 0, memoryview(text)
    start, end = start + 1, end - 1
    while True:
        stop = end if end - start <= PIECE_BYTES else text.rfind(b"]", start, start + PIECE_BYTES) + 1
        rows = reader.rows(_as_list(view[start:stop])) if stop > start else []
        for row in rows:
            if row.size != reader.shape[1] or not _put(whole, filled, row):
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


def _put(whole: NDArray[Any], at: int, values: NDArray[Any]) -> bool:
    """Put the values into `whole` in its type; return whether there is room for them, and integers fit the type."""
    part = whole[at : at + values.size]
    if part.size != values.size:
        return False
    part[...] = values
    return _exact(part, values)


def _exact(array: NDArray[Any], values: NDArray[Any]) -> bool:
    """Return whether `array`, which is `values` in another type, has them all; floats are looked at as a whole."""
    return array.dtype.kind == "f" or array.dtype == values.dtype or bool((array == values).all())
