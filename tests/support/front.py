"""What a company has before a server of its own: TLS, and a login, at an address that pods reach."""

import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

USERNAME, PASSWORD = "team", "a login of the company's"
# The server behind makes its own ones, and knows itself by its own name.
_OF_A_CONNECTION = ("authorization", "connection", "content-length", "host", "transfer-encoding")


@dataclass
class Front:
    """Where it answers, and the paths of the requests that it has let through, and refused."""

    url: str
    passed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@contextmanager
def front(address: str, port: int, tls: ssl.SSLContext) -> Iterator[Front]:
    """Answer at `address`, as long as the context lasts, for the server that this machine has at `port`."""
    login = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    behind = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("authorization") != f"Basic {login}":
                made.refused.append(self.path)
                self.answer(401, b"", {})
                return
            made.passed.append(self.path)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in _OF_A_CONNECTION}
            answer = behind.request(self.command, self.path, content=body, headers=headers)
            self.answer(answer.status_code, answer.content, {"content-type": answer.headers.get("content-type", "")})

        do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = handle_any

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in (headers | {"content-length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer((address, 0), Handler)
    listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    made = Front(f"https://{address}:{listening.server_port}")
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    with behind:
        yield made
        listening.shutdown()
        listening.server_close()
