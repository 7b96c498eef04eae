"""A forge on this machine: it answers what the forge's published document allows, and remembers it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.forges.bitbucket_hosts import CloudHost, DataCenterHost
from tests.support.forges.github_host import GitHubHost
from tests.support.forges.gitlab_host import GitLabHost
from tests.support.forges.published import published
from tests.support.forges.state import Answer, Asked, Refused, Remembered

TOKEN = "canary-token-of-the-forge"
HOSTS: dict[str, Any] = {host.name: host for host in (GitHubHost, GitLabHost, CloudHost, DataCenterHost)}


@dataclass
class ForgeServer:
    """The forge; `failing` are statuses that the next requests (of a method) get, `refused` those of a path always."""

    host: Any
    state: Remembered
    problems: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    failing_method: str = ""
    failing_words: str = "come again"
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.state.url

    def sent(self, method: str) -> int:
        """Return how many requests of a method came."""
        return sum(each == method for each, _ in self.requests)

    def answer(self, method: str, target: str, headers: Any, content: bytes) -> Answer:
        split = urlsplit(target)
        self.requests.append((method, split.path))
        try:
            return self._answer(method, split.path, dict(parse_qsl(split.query)), headers, content)
        except Refused as refused:
            status, body = self.host.refusal(refused.status, refused.words)
            return Answer(body, status)

    def _answer(self, method: str, path: str, query: dict[str, str], headers: Any, content: bytes) -> Answer:
        if self.failing and self.failing_method in ("", method):
            raise Refused(self.failing.pop(0), self.failing_words)
        body = json.loads(content) if content else None
        document, below = published(self.host.name), path.removeprefix(self.host.prefix)
        if wrong := document.problems(method, below, query, body):
            self.problems += [f"{method} {path}: {each}" for each in wrong]
            raise Refused(400, "; ".join(wrong))
        if self.host.token(headers) != TOKEN:
            raise Refused(401, "Bad credentials")
        operation = document.operation(method, below)
        assert operation is not None
        asked = Asked(operation[0], operation[2], query, body, path)
        for part, status in self.refused.items():
            if part in asked.path:
                raise Refused(status, "Resource not accessible by this token")
        if not self.host.has(asked):
            raise Refused(404, "Not Found")
        route = self.host.routes[method, asked.path]
        answer: Answer = route(asked)
        return answer


@contextmanager
def serve(kind: str, head: Callable[[str], str] = lambda branch: "0" * 40) -> Iterator[ForgeServer]:
    """Answer as a forge of this kind as long as the context lasts; nothing that is not published may have come."""

    class Handler(BaseHTTPRequestHandler):
        # Else the header and the body go apart, and each waits for the other's confirmation.
        wbufsize = -1

        def handle_any(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            given = made.answer(self.command, self.path, self.headers, content)
            text = json.dumps(given.body).encode()
            self.send_response(given.status)
            for name, value in {**given.headers, "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state = Remembered(f"http://127.0.0.1:{http.server_port}", head)
        made = ForgeServer(HOSTS[kind](state), state)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            http.shutdown()
            thread.join()
    assert made.problems == []
