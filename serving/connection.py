"""One HTTP connection: uvicorn's, with bounds it does not have."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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
