"""Plain requests, as most clients send them: what of them was seen before is not read again.

What is not plain, or not right, is None: it is read, and refused where it is wrong, by the general way of the server.
"""

import re
import secrets
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from serving import numbers
from serving.errors import RequestError
from serving.model import Runner, Tensor
from serving.protocol import MAX_ID_LENGTH, InferenceRequest, check

MOST_HEAD_BYTES = 8 * 1024
# How many heads without what varies, and bodies without their numbers, are remembered, and how long each may be.
MOST_KNOWN = 256
MOST_AROUND_BYTES = 2 * 1024
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?)")
# Headers that change how a request is read or answered; with them none is plain.
_UNUSUAL = frozenset(
    b"connection content-encoding expect inference-header-content-length proxy-connection transfer-encoding "
    b"upgrade".split()
)
_KEPT = b"connection", b"keep-alive"
# What is read of a head, and differs from request to request.
_ID = b"x-request-id"
_READ = (b"content-length", _ID)
_VARYING = re.compile(
    rb"\r\n([Xx]-[Rr]equest-[Ii][Dd]|[Cc]ontent-[Ll]ength): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)(?=\r\n)"
)
_MOST_DIGITS = 9
_NONE = -1
_OPENING = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")
# Stands for a list that was taken out; nobody outside knows it.
_TAKEN_OUT = secrets.token_hex(16)
_PLACE = b'"%b"' % _TAKEN_OUT.encode()


class Head(NamedTuple):
    """A plain head: where the body begins, how many bytes it has, and the id that the client gave, or nothing."""

    end: int
    length: int
    request_id: str


class Heads:
    """Reads the heads of plain inference requests; most of a head is as in one before."""

    def __init__(self, paths: frozenset[str], most_bytes: int) -> None:
        """Read those for `paths`, of requests with bodies of at most `most_bytes`."""
        self._starts = tuple(f"POST {path} HTTP/1.1\r\n".encode() for path in paths)
        self._most_bytes = most_bytes
        self._known: dict[tuple[bytes, ...], tuple[int, int]] = {}

    def read(self, data: bytes) -> Head | None:
        """Return the head that `data` begins with; None unless it is a whole and plain one."""
        end = data.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES)
        if end == -1 or not data.startswith(self._starts):
            return None
        # Text, name, value, text, name, value, …, text.
        parts = _VARYING.split(data[: end + 2])
        known = (*parts[0::3], *parts[1::3])
        length_at, id_at = self._known.get(known) or self._learn(known, data[:end], parts[1::3])
        if length_at == _NONE:
            return None
        length, request_id = parts[3 * length_at + 2], parts[3 * id_at + 2] if id_at != _NONE else b""
        if not length.isdigit() or len(length) > _MOST_DIGITS or len(request_id) > MAX_ID_LENGTH:
            return None
        size = int(length)
        return Head(end + 4, size, request_id.decode("ascii")) if size <= self._most_bytes else None

    def _learn(self, known: tuple[bytes, ...], head: bytes, varying: list[bytes]) -> tuple[int, int]:
        """Return at which of the `varying` lines the body's size is, and the id or _NONE; only _NONE if not plain."""
        matches = [_LINE.fullmatch(line) for line in head.split(b"\r\n")[1:]]
        headers = [(match[1].lower(), match[2]) if match else (b"", b"") for match in matches]
        given, names = [name for name, value in headers if name in _READ and value], [*map(bytes.lower, varying)]
        plain = all(name and (name not in _UNUSUAL or (name, value.lower()) == _KEPT) for name, value in headers)
        places = _NONE, _NONE
        if plain and given == names and names.count(b"content-length") == 1 and len(names) == len(set(names)):
            places = names.index(b"content-length"), names.index(_ID) if _ID in names else _NONE
        if len(head) <= MOST_AROUND_BYTES:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[known] = places
        return places


class Layout(NamedTuple):
    """A body without its numbers: whose its lists are, what reads them, and the request without values."""

    lists: tuple[tuple[str, numbers.Reader], ...]
    request: InferenceRequest
    size: tuple[int, ...]


class Bodies:
    """Reads bodies with a list of numbers for each input; what stands around the numbers mostly is as before."""

    def __init__(self, model: Runner) -> None:
        """Read those for `model`."""
        self._model = model
        self._known: dict[bytes, Layout] = {}

    def read(self, data: bytes | bytearray, begin: int, end: int) -> tuple[InferenceRequest, tuple[int, ...]] | None:
        """Return the request with the body data[begin:end], and all dimensions of its inputs; None if not plain."""
        lists, around = self._split(data, begin, end)
        layout = self._known.get(around) or self._learn(around)
        if layout is None or len(lists) != len(layout.lists):
            return None
        arrays = {}
        for (start, stop), (name, reader) in zip(lists, layout.lists, strict=True):
            array = reader.read(data, start, stop)
            if array is None:
                return None
            arrays[name] = array
        if len(arrays) > 1:
            arrays = {tensor.name: arrays[tensor.name] for tensor in self._model.inputs}
        known = layout.request
        return InferenceRequest(known.id, arrays, known.outputs, known.binary, known.rows), layout.size

    def _split(self, data: bytes | bytearray, begin: int, end: int) -> tuple[list[tuple[int, int]], bytes]:
        """Return where the lists of numbers are, and what stands around them."""
        lists: list[tuple[int, int]] = []
        pieces, done = [], begin
        at = data.find(b'"data"', begin, end)
        while at != -1 and len(lists) < len(self._model.inputs):
            opening = _OPENING.match(data, at + 6, end)
            # No text and no object is part of a list of numbers, so it ends before the next one begins or ends.
            stop = data.find(b"}", at + 6, end)
            if opening is None or stop == -1:
                break
            start = opening.end() - 1
            quote = data.find(b'"', start, stop)
            after = data.rfind(b"]", start, stop if quote == -1 else quote) + 1
            if not after:
                break
            lists.append((start, after))
            pieces.append(data[done:start])
            done = after
            at = data.find(b'"data"', after, end)
        pieces.append(data[done:end])
        return lists, _PLACE.join(pieces) if end - done <= MOST_AROUND_BYTES else b""

    def _learn(self, around: bytes) -> Layout | None:
        document = _Around(around)
        try:
            request = check(document, self._model)
        except (RequestError, ValueError):
            return None
        layout = Layout(tuple(document.lists), request, request.size)
        # An id mostly is of one request alone.
        if request.id is None and len(around) <= MOST_AROUND_BYTES:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[around] = layout
        return layout


class _Around:
    """The document of a body whose lists were taken out; its arrays have shapes and no values."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.lists: list[tuple[str, numbers.Reader]] = []

    @property
    def fields(self) -> dict[str, Any]:
        """The parsed JSON; raises RequestError, or ValueError where it is none."""
        fields = orjson.loads(self._text)
        if not isinstance(fields, dict):
            raise RequestError("not plain")
        return fields

    def array(self, tensor: Tensor, given: dict[str, Any], shape: list[int]) -> NDArray[Any]:
        """Return an array of this shape; raises RequestError where no list was taken out."""
        if given.get("data") != _TAKEN_OUT or "parameters" in given:
            raise RequestError("not plain")
        self.lists.append((tensor.name, numbers.Reader(tensor, shape)))
        return np.broadcast_to(tensor.dtype.type(0), shape)

    def check_end(self) -> None:
        """Have nothing left."""
