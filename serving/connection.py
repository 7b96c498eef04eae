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
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose request line and headers do not end: the parser would keep all of them."""

    _head_bytes: int | None = 0

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        if self._head_bytes is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
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
        self._head_bytes = None
        super().on_headers_complete()


class _Coming:
    """A plain request whose body is not complete: what has come, how much is missing, and memory held for it."""

    __slots__ = ("clock", "head", "held", "missing", "pieces", "started", "text")

    def __init__(self, head: Head, data: bytes, missing: int, started: int) -> None:
        self.head, self.missing, self.started = head, missing, started
        self.text, self.pieces = data[: head.end], [data[head.end :]]
        self.held = memory(head.length, None)
        self.clock: asyncio.TimerHandle | None = None


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
        if self._coming is not None:
            self._take_more(self._coming, data)
        elif not self._between or not self._take(data):
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
        self._coming = _Coming(head, data, missing, started)
        self._coming.clock = self.loop.call_later(READ_SECONDS, self.transport.abort)
        return True

    def _take_more(self, coming: _Coming, data: bytes) -> None:
        coming.pieces.append(data)
        coming.missing -= len(data)
        if coming.missing > 0:
            return
        body = b"".join(coming.pieces)
        self._end_coming(coming)
        if coming.missing < 0 or not self._answer(coming.head, body, 0, coming.started):
            super().data_received(coming.text + body)

    def _answer(self, head: Head, data: bytes, begin: int, started: int) -> bool:
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
        coming.pieces = []
        self._direct.budget.give(coming.held)
        if coming.clock is not None:
            coming.clock.cancel()

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
            text = b"".join([self._coming.text, *self._coming.pieces])
            self._end_coming(self._coming)
            super().data_received(text)
        super().shutdown()
