"""The body of a request: read within what memory allows, and unpacked."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

from serving.document import SMALL_BYTES, Factors, memory
from serving.errors import RequestError
from serving.memory import Reservation
from serving.protocol import check_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
READ_SECONDS = 60.0
JSON_BYTES_HEADER = b"inference-header-content-length"
# zlib's names for the two formats; 31: gzip, 15: zlib, which is what HTTP calls deflate.
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
_ENCODINGS = (b"", b"identity", *_WINDOW_BITS)


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Headers(NamedTuple):
    """What of a request's headers matters: its id, sizes in bytes (None when absent), and how the body is packed."""

    request_id: str = ""
    length: int | None = None
    json_bytes: int | None = None
    encoding: bytes = b""


NO_HEADERS = Headers()


def parse_headers(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers that matter; raises RequestError when one of them is not as it must be."""
    given = dict(pairs)
    name, length = given.get(b"x-request-id"), given.get(b"content-length")
    json_bytes, encoding = given.get(JSON_BYTES_HEADER), given.get(b"content-encoding", b"").strip().lower()
    if json_bytes is not None and not (json_bytes.isdigit() and len(json_bytes) <= 12):
        raise RequestError("header Inference-Header-Content-Length: expected how many bytes of the body are JSON")
    if encoding not in _ENCODINGS:
        raise RequestError("header Content-Encoding: accepted are gzip and deflate, one of them, or none", status=415)
    return Headers(
        check_id(name.decode("latin-1"), "header x-request-id") if name else "",
        int(length) if length is not None else None,
        int(json_bytes) if json_bytes is not None else None,
        b"" if encoding == b"identity" else encoding,
    )


async def read(
    receive: Receive, headers: Headers, limit: int, factors: Factors, held: Reservation, abort: Callable[[], None]
) -> bytes | bytearray:
    """Return the body as it was sent, with memory for it and for what it is turned into reserved in `held`.

    Raises RequestError when it has more than `limit` bytes (413) or there is no memory for it (503), and Disconnected;
    a body that does not come is ended with `abort`.
    """
    if headers.length is not None and headers.length > limit:
        raise too_large(limit)
    # How much a body without a length will have is not known; most are small.
    expected = SMALL_BYTES if headers.length is None else headers.length
    body, more, clock = bytearray(), True, None
    if expected > SMALL_BYTES:
        await held.raise_to(memory(expected, headers.json_bytes, factors))
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            body += message["body"]
            more = message["more_body"]
            # A small body mostly is complete now, and until now it held nothing.
            if clock is None and (more or expected <= SMALL_BYTES):
                await held.raise_to(memory(expected, headers.json_bytes, factors))
                if more:
                    clock = asyncio.get_running_loop().call_later(READ_SECONDS, abort)
            if len(body) > expected:
                expected = limit
                await held.raise_to(memory(limit, headers.json_bytes, factors))
            if len(body) > limit:
                raise too_large(limit)
    finally:
        if clock is not None:
            clock.cancel()
    return body


def too_large(limit: int) -> RequestError:
    """Return the refusal of a body with more than `limit` bytes."""
    return RequestError(f"the body is larger than {limit} bytes; send fewer rows per request", status=413)


def unpack(packed: bytes | bytearray, encoding: bytes, limit: int) -> bytes:
    """Return what `packed` is when unpacked; raises RequestError: 400 when it is damaged, 413 beyond `limit` bytes."""
    reader = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        body = reader.decompress(packed, limit + 1)
    except zlib.error as error:
        raise RequestError(f"the body is not {encoding.decode()}: {error}") from error
    if len(body) > limit:
        raise too_large(limit)
    if not reader.eof or reader.unused_data:
        raise RequestError(f"the body is not one whole {encoding.decode()} stream")
    return body
