"""What stands for a cluster in a preview that has none: an API server on loopback that knows nothing.

Without any answer the provider refuses objects of YAML files. With these it knows of no kind, asks for no dry run, and
compares what is declared with the state alone.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_VERSION = {"major": "1", "minor": "33", "gitVersion": "v1.33.0"}
_ANSWERS = {
    "/version": json.dumps(_VERSION).encode(),
    "/api": b'{"kind": "APIVersions", "versions": []}',
    "/apis": b'{"kind": "APIGroupList", "apiVersion": "v1", "groups": []}',
    # An empty message of Protocol Buffers: a schema without definitions.
    "/openapi/v2": b"",
}
_NOT_FOUND = b'{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}'


@contextmanager
def absent_cluster(context: str, folder: Path) -> Iterator[Path]:
    """Answer as long as the context lasts; yield a kubeconfig in `folder` whose context of this name leads here."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        file = folder / "kubeconfig"
        # Without a login the provider would ask its standard input for one.
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "contexts": [{"name": context, "context": {"cluster": "none", "user": "nobody"}}],
            "clusters": [{"name": "none", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "nobody", "user": {"token": "none"}}],
        }
        file.write_text(json.dumps(document), encoding="utf-8")
        yield file
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = _ANSWERS.get(path, _NOT_FOUND)
        self.send_response(200 if path in _ANSWERS else 404)
        binary = path == "/openapi/v2"
        kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf" if binary else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""
