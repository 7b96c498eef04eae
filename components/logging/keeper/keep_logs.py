"""Keep the log store in order: delete old lines or have the server do it, and bring saved objects into Kibana.

Runs in a Job with the standard library alone. PLAN is a JSON file: `store` and `kibana` (URLs; either may be null),
`prefix` (what names of daily indices begin with), `days` (number for lines of no environment named), `environments`
(days by environment), `templates` (bodies by path), `objects` (NDJSON). SECRETS is a folder with `username`, `password`
and authorities as `*.crt`.
"""

import base64
import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_WAIT_SECONDS = 600
_ABSENT = (400, 404, 405)


class KeeperError(Exception):
    """Something was refused, or did not answer in time."""


class Server:
    """Elasticsearch or Kibana, with a login and the authorities of its certificate."""

    def __init__(self, url: str, secrets: Path, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._url, self._wait = url.rstrip("/"), wait_seconds
        word = (secrets / "username").read_text() + ":" + (secrets / "password").read_text()
        self._login = "Basic " + base64.b64encode(word.encode()).decode()
        # Nobody is trusted but the authorities that are given.
        self._trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for file in sorted(secrets.glob("*.crt")):
            self._trust.load_verify_locations(str(file))

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Return status and answer; wait while nobody answers, or the server is starting.

        Raises KeeperError when that takes longer than ten minutes.
        """
        deadline = time.monotonic() + self._wait
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        while True:
            request = urllib.request.Request(self._url + path, data=body, method=method)  # noqa: S310 (https, by value)
            for name, value in {"Authorization": self._login, "Content-Type": "application/json", **named}.items():
                request.add_header(name, value)
            try:
                with urllib.request.urlopen(request, timeout=30, context=self._trust) as answer:  # noqa: S310
                    return answer.status, json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                if error.code not in (429, 502, 503, 504):
                    return error.code, text
                reason = f"{error.code} {text[:200]}"
            except OSError as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise KeeperError(f"{method} {self._url}{path}: {reason}, for {self._wait:.0f} s")
            time.sleep(min(5.0, self._wait))

    def need(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer; raise KeeperError where the request is refused."""
        status, answer = self.ask(method, path, None if body is None else json.dumps(body).encode())
        if status >= 300:
            raise KeeperError(f"{method} {path}: {status} {answer}")
        return answer


def old_indices(names: list[str], plan: dict[str, Any], today: datetime) -> list[str]:
    """Return the daily indices whose lines are all older than their environment keeps them."""
    pattern = re.compile(re.escape(plan["prefix"]) + r"(?:-([a-z][-a-z0-9]*))?-(\d{4}\.\d\d\.\d\d)")
    old = []
    for name in sorted(names):
        parts = pattern.fullmatch(name)
        if not parts:
            continue
        days = plan["environments"].get(parts[1] or "", plan["days"])
        try:
            ended = datetime.strptime(parts[2], "%Y.%m.%d").replace(tzinfo=UTC) + timedelta(days=1)
        except ValueError:
            continue
        if ended + timedelta(days=days) <= today:
            old.append(name)
    return old


def keep_lines(store: Server, plan: dict[str, Any], today: datetime) -> None:
    """Have the server delete what is old where it can; delete it here where it cannot."""
    status, answer = store.ask("GET", "/_ilm/policy")
    if status == 200:
        for name, days in {"": plan["days"], **plan["environments"]}.items():
            title = plan["prefix"] + (f"-{name}" if name else "")
            phases = {"hot": {"actions": {}}, "delete": {"min_age": f"{days}d", "actions": {"delete": {}}}}
            store.need("PUT", f"/_ilm/policy/{title}", {"policy": {"phases": phases}})
        for path, body in plan["templates"].items():
            store.need("PUT", path, body)
        print("the server deletes old lines by itself: policies and templates are set")
        return
    if status not in _ABSENT:
        raise KeeperError(f"GET /_ilm/policy: {status} {answer}")
    known = store.need("GET", f"/{plan['prefix']}*/_alias")
    for name in old_indices(list(known), plan, today):
        store.need("DELETE", f"/{name}")
        print(f"deleted {name}")


def import_objects(kibana: Server, objects: str) -> None:
    """Bring saved objects into Kibana; those of the same id are replaced. Raises KeeperError with what it refuses."""
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="objects.ndjson"\r\n'
    body = f"{head}Content-Type: application/ndjson\r\n\r\n{objects}\r\n--{edge}--\r\n".encode()
    status, answer = kibana.ask(
        "POST",
        "/api/saved_objects/_import?overwrite=true",
        body,
        kbn_xsrf="stellwerk",
        Content_Type=f"multipart/form-data; boundary={edge}",
    )
    if status != 200 or not answer.get("success"):
        raise KeeperError(f"Kibana refuses the saved objects: {status} {answer}")
    print(f"imported {answer['successCount']} saved objects")


def main(environment: dict[str, str]) -> int:
    """Return the exit code."""
    plan = json.loads(Path(environment["PLAN"]).read_text())
    secrets = Path(environment["SECRETS"])
    try:
        if plan.get("store"):
            keep_lines(Server(plan["store"], secrets), plan, datetime.now(UTC))
        if plan.get("kibana"):
            import_objects(Server(plan["kibana"], secrets), plan["objects"])
    except KeeperError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
