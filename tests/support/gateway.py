"""The gateway's own process, with the files that the component writes, on loopback; backends and a proxy beside it."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from components.gateway import traefik
from components.gateway.traefik import LimitsArgs, RouteArgs
from tests.support.tools import free_port

LIMITS: LimitsArgs = {"max_body_bytes": 1024**2, "in_flight": 4, "requests_per_second": 1000}


class Backend:
    """Answers with the request's path; can hold its answers, and break off after it has read a request."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.go_on, self.to_break, self.requests = threading.Event(), 0, 0
        self.headers: set[str] = set()
        self.go_on.set()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                backend.requests += 1
                backend.headers = {name.lower() for name in self.headers}
                backend.go_on.wait()
                if backend.to_break > 0:
                    backend.to_break -= 1
                    self.close_connection = True
                    return
                answer = self.path.encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://{address}:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class Gateway:
    """Traefik by the component's files; only addresses and folders are this test's."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        models: Sequence[str],
        url: str,
        limits: LimitsArgs = LIMITS,
        pages: Sequence[RouteArgs] = (),
    ) -> None:
        self._limits, self._pages = limits, pages
        self._folder, self._url, self._swaps = folder, url, 0
        self.port, self.health, self._alive = free_port(), free_port(), free_port()
        (folder / "routes").mkdir(parents=True)
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=test",
                   "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (folder / "users").mkdir()
        for page in pages:
            (folder / "users" / page["name"]).write_text(str(page["users"]))
        self.publish(models)
        static = json.loads(traefik.static_file().replace(traefik.ROUTES, str(folder / "routes")))
        static["entryPoints"]["https"]["address"] = f"127.0.0.1:{self.port}"
        static["entryPoints"]["health"]["address"] = f"127.0.0.1:{self.health}"
        static["entryPoints"]["alive"]["address"] = f"127.0.0.1:{self._alive}"
        (folder / "traefik.yaml").write_text(json.dumps(static))
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [binary, f"--configFile={folder}/traefik.yaml"], stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def publish(self, models: Sequence[str]) -> None:
        """Swap the routes as the kubelet does: a new folder, the link renamed over the old, the old folder gone."""
        routes: list[RouteArgs] = [
            {"name": name, "path_prefix": f"/v2/models/{name}", "url": self._url} for name in models
        ]
        text = traefik.routes_file([*routes, *self._pages], self._limits)
        text = text.replace(traefik.TLS, str(self._folder)).replace(traefik.USERS, f"{self._folder}/users")
        volume, self._swaps = self._folder / "routes", self._swaps + 1
        link = volume / "..data"
        old = volume / os.readlink(link) if link.is_symlink() else None
        # Later names that sort before earlier ones: none is preferred for its name.
        new = volume / f"..2026_01_01_{1000 - self._swaps}"
        (new / "current").mkdir(parents=True)
        (new / "current" / "routes.yaml").write_text(text)
        (volume / "..data_tmp").symlink_to(new.name)
        (volume / "..data_tmp").rename(link)
        if not (volume / "current").is_symlink():
            (volume / "current").symlink_to("..data/current")
        if old:
            shutil.rmtree(old)

    def client(self, port: int = 0) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self._folder / "tls.crt"))
        return httpx.Client(base_url=f"https://127.0.0.1:{port or self.port}", verify=context, timeout=120)

    def ready(self) -> int:
        """Return the status of its readiness probe; 0 while nothing listens."""
        return _ping(self.health)

    def alive(self) -> int:
        """Return the status of its liveness probe; 0 while nothing listens."""
        return _ping(self._alive)

    def wait_until_ready(self) -> None:
        until(lambda: self.ready() == 200, self)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def _ping(port: int) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ping", timeout=60).status_code
    except httpx.TransportError:
        return 0


def until(condition: Any, gateway: Gateway, seconds: float = 180) -> None:
    """Wait until the condition is true; a machine under load may need long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, gateway.log
        time.sleep(0.05)


class NodeProxy:
    """Hands each new connection to the next of its targets, as nodes do; those that exist stay where they are."""

    def __init__(self, targets: list[int]) -> None:
        self.targets, self.taken = targets, dict.fromkeys(targets, 0)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        turn = 0
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            turn += 1
            target = self.targets[turn % len(self.targets)]
            self.taken[target] += 1
            try:
                server = socket.create_connection(("127.0.0.1", target))
            except OSError:
                client.close()
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        self._socket.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()
