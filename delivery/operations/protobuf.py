"""Messages of Protocol Buffers, field by field, without reading what a field holds.

https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

NUMBER, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """A field of a message, and its places in the content: its key's, its value's, and where it ends."""

    number: int
    kind: int
    key: int
    value: int
    end: int


def fields(content: bytes | mmap, begin: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message between two places; raise ValueError where it is none."""
    place = begin
    while place < end:
        key, value = varint(content, place, end)
        number, kind = key >> 3, key & 7
        if kind == NUMBER:
            _, after = varint(content, value, end)
        elif kind == BYTES:
            size, value = varint(content, value, end)
            after = value + size
        elif kind in _SIZES:
            after = value + _SIZES[kind]
        else:
            raise ValueError(f"it has a field of the unknown kind {kind}")
        if number == 0 or after > end:
            raise ValueError("it ends in the middle of a field")
        yield Field(number, kind, place, value, after)
        place = after


def varint(content: bytes | mmap, place: int, end: int) -> tuple[int, int]:
    """Return a number as it is written, seven bits a byte, the least first, and where it ends."""
    value, shift = 0, 0
    while shift < 64:
        if place >= end:
            raise ValueError("it ends in the middle of a number")
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("it has a number of more than 64 bits")


def number_field(number: int, value: int) -> bytes:
    """Return a field that holds a number."""
    return _varint(number << 3 | NUMBER) + _varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a field that holds a text, a message or bytes."""
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
