"""One HTTP connection: uvicorn's, with bounds it does not have, and a short cut for plain requests."""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.body import READ_SECONDS
from serving.direct import Direct
from serving.document import memory
from serving.plain import Head

MAX_HEAD_BYTES = 64 * 1024
# For a body that has just begun to come.
LEAST_ROOM_BYTES = 64 * 1024
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose request line and headers do not end: the parser would keep all of them."""

    _head_bytes: int | None = 0
    _behind_another = False
    _body_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._behind_another, self._body_bytes = self._head_bytes is None, 0
        super().data_received(data)
        if self._head_bytes is not None and not self.transport.is_closing():
            # Behind another request it begins after that one's head, and what was body is none of it.
            others = max(data.rfind(b"\r\n\r\n") + 4, self._body_bytes) if self._behind_another else 0
            self._head_bytes += len(data) - others
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.write(_REFUSAL)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Count no more; what follows is the body, and bounded where it is read."""
        self._head_bytes, self._behind_another = None, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what is no head."""
        self._body_bytes += len(body)
        super().on_body(body)


class _Coming(asyncio.BufferedProtocol):
    """A plain request whose body is not complete: takes the rest of it from the socket, in the connection's place."""

    def __init__(self, connection: "DirectProtocol", head: Head, data: bytes, buffer: bytearray, started: int) -> None:
        self.head, self.started, self.buffer = head, started, buffer
        self._connection, self._head_text, self._filled = connection, data[: head.end], len(data) - head.end
        self._make_room(self._filled)
        memoryview(buffer)[: self._filled] = memoryview(data)[head.end :]
        self.clock = connection.loop.call_later(READ_SECONDS, connection.transport.abort)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes belong; what follows the body stays in the socket."""
        if self._filled == len(self.buffer):
            self._make_room(min(self.head.length, max(2 * self._filled, LEAST_ROOM_BYTES)))
        return memoryview(self.buffer)[self._filled : self.head.length]

    def buffer_updated(self, nbytes: int) -> None:
        """Count what has come."""
        self._filled += nbytes
        if self._filled == self.head.length:
            self._connection.body_complete(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection."""
        self._connection.connection_lost(exc)

    def text(self) -> bytes:
        """Return all that has come of the request."""
        return self._head_text + self.buffer[: self._filled]

    def _make_room(self, size: int) -> None:
        """Have a buffer of `size` bytes: memory is taken for what comes, not for what is said to come."""
        self.buffer += bytes(max(0, size - len(self.buffer)))


class DirectProtocol(BoundedProtocol):
    """Answers plain requests directly; everything else is handed on, just as it came, to the general way."""

    _between = True
    _coming: _Coming | None = None
    _last = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take the direct way from the application."""
        super().__init__(*args, **options)
        application: Any = self.app
        self._application = application
        self._direct: Direct = application.direct

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if not self._between or not self._take(data):
            super().data_received(data)

    def _take(self, data: bytes) -> bool:
        """Return whether `data` is the beginning of a plain request, or all of it, and is taken care of."""
        started = time.perf_counter_ns()
        if (
            (self.cycle is not None and not self.cycle.response_complete)
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        head = self._direct.head(data)
        if head is None:
            return False
        missing = head.end + head.length - len(data)
        if missing == 0:
            return self._direct.free(head.length) and self._answer(head, data, head.end, started)
        if missing < 0 or not self._direct.budget.take(memory(head.length, None)):
            return False
        self._unset_keepalive_if_required()
        self._coming = _Coming(self, head, data, self._direct.budget.buffers.take(), started)
        self.transport.set_protocol(self._coming)
        return True

    def body_complete(self, coming: _Coming) -> None:
        """Answer a request whose body has come in pieces, or hand it on."""
        self.transport.set_protocol(self)
        answered = self._answer(coming.head, coming.buffer, 0, coming.started)
        text = b"" if answered else coming.text()
        self._end_coming(coming)
        if not answered:
            super().data_received(text)

    def _answer(self, head: Head, data: bytes | bytearray, begin: int, started: int) -> bool:
        # Then each answer says that its connection ends.
        if self._application.draining:
            return False
        content = self._direct.answer(head, data, begin, started, self.server_state.default_headers)
        if content is None:
            return False
        self.transport.write(content)
        self._last = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        return True

    def _end_coming(self, coming: _Coming) -> None:
        self._coming = None
        coming.clock.cancel()
        self._direct.budget.buffers.give(coming.buffer)
        # The transport goes on referring to it.
        coming.buffer = bytearray()
        self._direct.budget.give(memory(coming.head.length, None))

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing has come for so long; the clock is not set again for each request."""
        left = self._last + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def on_message_begin(self) -> None:
        """Note that the parser is within a request."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that the parser is between requests; after one that wanted another protocol it takes no more."""
        self._between = not self.parser.should_upgrade()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what an incomplete request holds."""
        if self._coming is not None:
            self._end_coming(self._coming)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection after the request under way."""
        if self._coming is not None:
            self.transport.set_protocol(self)
            text = self._coming.text()
            self._end_coming(self._coming)
            super().data_received(text)
        super().shutdown()
