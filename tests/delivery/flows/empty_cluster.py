"""A cluster's API server that has nothing in it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BATCH = {"groupVersion": "batch/v1", "version": "v1"}


def _resource(name: str, kind: str, *verbs: str) -> dict[str, Any]:
    return {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}


_ANSWERS: dict[str, Any] = {
    "/readyz": "ok",
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [_BATCH], "preferredVersion": _BATCH}],
    },
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [_resource("configmaps", "ConfigMap", "list", "delete")],
    },
    "/apis/batch/v1": {
        "kind": "APIResourceList",
        "groupVersion": "batch/v1",
        "resources": [_resource("cronjobs", "CronJob", "get"), _resource("jobs", "Job", "get")],
    },
    "/api/v1/configmaps": {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": []},
}


@contextmanager
def api_server() -> Iterator[str]:
    """Yield a kubeconfig for a cluster that has no object."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = _ANSWERS.get(self.path.partition("?")[0])
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = answer if isinstance(answer, str) else json.dumps(answer or status)
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        clusters = [{"name": "empty", "cluster": {"server": address}}]
        contexts = [{"name": "stellwerk", "context": {"cluster": "empty", "user": "runner"}}]
        users = [{"name": "runner", "user": {"token": "canary-token-of-the-cluster"}}]
        yield json.dumps(
            {"apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts, "users": users}
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
