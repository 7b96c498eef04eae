"""The keeper's own code against servers that answer as Elasticsearch and Kibana do, and Kibana's saved objects."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.logging.keeper.keep_logs import KeeperError, Server, import_objects, main, old_indices
from components.logging.log_keeper import plan_of
from components.logging.saved_objects import saved_objects

PLAN: dict[str, Any] = {"prefix": "logs-stellwerk", "days": 7, "environments": {"prod": 90}, "templates": {}}
TODAY = datetime(2026, 11, 26, 12, tzinfo=UTC)
# What Kibana's own type definitions say of attributes (version 9; `@kbn/config-schema`, unknown keys forbidden):
# data_views/server/content_management, saved_search/server/saved_objects/schema.ts, dashboard's saved object type.
TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
SOURCE = {
    "type": "object", "additionalProperties": False, "properties": {"searchSourceJSON": TEXT},
    "required": ["searchSourceJSON"],
}  # fmt: skip
REFERENCE = {
    "type": "object",
    "required": ["type", "id", "name"],
    "additionalProperties": False,
    "properties": {key: {"type": "string", "minLength": 1} for key in ("type", "id", "name")},
}
PAIR = {"type": "array", "maxItems": 2, "items": TEXT}
REFRESH = {
    "type": "object", "required": ["pause", "value"], "additionalProperties": False,
    "properties": {"pause": FLAG, "value": NUMBER, "display": TEXT, "section": NUMBER},
}  # fmt: skip
ATTRIBUTES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "index-pattern": (["title"], {
        **dict.fromkeys(("title", "name", "type", "timeFieldName"), TEXT),
        **dict.fromkeys(("fields", "fieldAttrs", "sourceFilters", "fieldFormatMap", "typeMeta"), TEXT),
        "runtimeFieldMap": TEXT,
        **dict.fromkeys(("allowNoIndex", "allowHidden"), FLAG),
    }),
    "search": (["title", "kibanaSavedObjectMeta"], {
        **dict.fromkeys(("title", "description", "breakdownField"), TEXT),
        **dict.fromkeys(("rowHeight", "headerRowHeight", "rowsPerPage", "hits", "version"), NUMBER),
        **dict.fromkeys(("hideChart", "isTextBasedQuery", "usesAdHocDataView", "timeRestore"), FLAG),
        "sampleSize": {"type": "number", "minimum": 10, "maximum": 10000},
        "columns": {"type": "array", "items": TEXT},
        "sort": {"anyOf": [{"type": "array", "items": PAIR}, PAIR]},
        "grid": {"type": "object"}, "kibanaSavedObjectMeta": SOURCE,
        "density": {"enum": ["compact", "normal", "expanded"]},
    }),
    "dashboard": (["title", "kibanaSavedObjectMeta"], {
        **dict.fromkeys(("title", "description", "timeFrom", "timeTo", "panelsJSON", "optionsJSON"), TEXT),
        **dict.fromkeys(("hits", "version"), NUMBER),
        "timeRestore": FLAG, "kibanaSavedObjectMeta": SOURCE, "refreshInterval": REFRESH,
    }),
}  # fmt: skip
# Of the texts that are JSON themselves: a search's source, and a dashboard's panels.
SEARCH_SOURCE = {
    "type": "object", "required": ["query", "filter"], "additionalProperties": False,
    "properties": {
        "filter": {"type": "array"}, "indexRefName": TEXT,
        "query": {"type": "object", "required": ["query", "language"], "additionalProperties": False,
                  "properties": {"query": TEXT, "language": {"enum": ["kuery", "lucene"]}}},
    },
}  # fmt: skip
PANELS = {
    "type": "array",
    "items": {
        "type": "object", "required": ["type", "gridData", "panelIndex", "embeddableConfig"],
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(("type", "id", "panelIndex", "panelRefName", "title", "version"), TEXT),
            "embeddableConfig": {"type": "object"},
            "gridData": {
                "type": "object", "required": ["x", "y", "w", "h", "i"], "additionalProperties": False,
                "properties": {
                    "x": {"type": "integer", "minimum": 0, "maximum": 47},
                    "w": {"type": "integer", "minimum": 1, "maximum": 48},
                    "y": {"type": "integer", "minimum": 0}, "h": {"type": "integer", "minimum": 1}, "i": TEXT,
                },
            },
        },
    },
}  # fmt: skip
Answer = Callable[[str, str, bytes, dict[str, str]], tuple[int, Any]]


def schema(kind: str) -> dict[str, Any]:
    needed, fields = ATTRIBUTES[kind]
    attributes = {"type": "object", "additionalProperties": False, "required": needed, "properties": fields}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "id", "attributes", "references"],
        "properties": {
            "type": {"const": kind},
            "id": {"type": "string", "pattern": "^[a-z0-9-]+$"},
            "attributes": attributes,
            "references": {"type": "array", "items": REFERENCE},
        },
    }


class Answering(ThreadingHTTPServer):
    """Answers by a function, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked = answer, list[tuple[str, str, bytes]]()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append((self.command, self.path, body))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer = self.server.answer(self.command, self.path, body, headers)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _do

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Answering]]:
    servers: list[Answering] = []

    def start(answer: Answer) -> Answering:
        servers.append(Answering(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "username").write_text("keeper")
    (tmp_path / "password").write_text("word")
    return tmp_path


def test_saved_objects_are_as_kibana_has_them() -> None:
    views = {"test": "logs-stellwerk-test-*", "prod": "logs-stellwerk-prod-*"}
    lines = [json.loads(line) for line in saved_objects(views).splitlines()]
    for line in lines:
        jsonschema.validate(line, schema(line["type"]))
        attributes = line["attributes"]
        if meta := attributes.get("kibanaSavedObjectMeta"):
            jsonschema.validate(json.loads(meta["searchSourceJSON"]), SEARCH_SOURCE)
        if panels := attributes.get("panelsJSON"):
            jsonschema.validate(json.loads(panels), PANELS)
    assert [line["type"] for line in lines].count("dashboard") == 2
    ids = [(line["type"], line["id"]) for line in lines]
    assert len(set(ids)) == len(ids)
    for line in lines:
        assert {(each["type"], each["id"]) for each in line["references"]} <= set(ids), "nothing is missing"
        source = line["attributes"].get("kibanaSavedObjectMeta", {}).get("searchSourceJSON")
        named = {each["name"] for each in line["references"]}
        assert source is None or json.loads(source).get("indexRefName") in {None, *named}
    (board, _) = [line for line in lines if line["type"] == "dashboard"]
    panels = json.loads(board["attributes"]["panelsJSON"])
    assert {f"{each['panelIndex']}:{each['panelRefName']}" for each in panels} == {
        each["name"] for each in board["references"]
    }
    titles = [line["attributes"]["title"] for line in lines if line["type"] == "index-pattern"]
    assert sorted(titles) == sorted(views.values())


def test_only_what_is_older_than_its_environment_keeps_it_goes() -> None:
    names = ["logs-stellwerk", "logs-stellwerk-2026.11.18", "logs-stellwerk-2026.11.19",
             "logs-stellwerk-test-2026.11.18",
             "logs-stellwerk-prod-2026.11.18", "logs-stellwerk-prod-2026.08.27", "logs-stellwerk-prod-2026.13.45",
             "logs-others-2020.01.01", "logs-stellwerk-prod-2020.01.01-extra"]  # fmt: skip
    assert old_indices(names, PLAN, TODAY) == [
        "logs-stellwerk-2026.11.18", "logs-stellwerk-prod-2026.08.27", "logs-stellwerk-test-2026.11.18"
    ]  # fmt: skip


def run(plan: dict[str, Any], secrets: Path) -> int:
    (secrets / "plan.json").write_text(json.dumps(plan))
    return main({"PLAN": str(secrets / "plan.json"), "SECRETS": str(secrets)})


def test_where_the_server_has_no_lifecycle_the_keeper_deletes(serve: Any, secrets: Path) -> None:
    def answer(method: str, path: str, _: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        assert headers["authorization"] == "Basic " + base64.b64encode(b"keeper:word").decode()
        if path == "/_ilm/policy":
            return 400, {"error": "no handler found for uri [/_ilm/policy] and method [GET]"}
        return 200, {"logs-stellwerk-test-2020.01.01": {}, "logs-stellwerk-test-2999.01.01": {}}

    store = serve(answer)
    assert run({**PLAN, "store": store.url}, secrets) == 0
    assert [path for method, path, _ in store.asked if method == "DELETE"] == ["/logs-stellwerk-test-2020.01.01"]


def test_where_it_has_one_it_is_told_once_per_environment(serve: Any, secrets: Path) -> None:
    store = serve(lambda *_: (200, {"acknowledged": True}))
    templates = {"/_index_template/logs-stellwerk": {"index_patterns": ["logs-stellwerk-*"]}}
    assert run({**PLAN, "store": store.url, "templates": templates}, secrets) == 0
    puts = {path: json.loads(body) for method, path, body in store.asked if method == "PUT"}
    assert puts["/_ilm/policy/logs-stellwerk-prod"]["policy"]["phases"]["delete"]["min_age"] == "90d"
    assert puts["/_ilm/policy/logs-stellwerk"]["policy"]["phases"]["delete"]["min_age"] == "7d"
    assert puts["/_index_template/logs-stellwerk"] == templates["/_index_template/logs-stellwerk"]
    assert not any(method == "DELETE" for method, _, _ in store.asked)


def test_without_a_store_saved_objects_are_all_that_is_done(serve: Any, secrets: Path) -> None:
    kibana = serve(lambda *_: (200, {"success": True, "successCount": 6}))
    assert run({**plan_of(None, {}, {"prod": "logs-a-b"}), "store": None, "kibana": kibana.url}, secrets) == 0
    assert [path for _, path, _ in kibana.asked] == ["/api/saved_objects/_import?overwrite=true"]


def test_a_refused_request_ends_the_job(serve: Any, secrets: Path) -> None:
    store = serve(lambda method, path, *_: (403, {"error": "no"}))
    assert run({**PLAN, "store": store.url}, secrets) == 1


def test_saved_objects_go_to_kibana_as_a_file(serve: Any, secrets: Path) -> None:
    objects = saved_objects({"test": "logs-stellwerk-test-*"})
    seen: list[str] = []

    def answer(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        assert (method, path) == ("POST", "/api/saved_objects/_import?overwrite=true")
        assert headers["kbn-xsrf"], "Kibana refuses requests without it"
        edge = re.fullmatch(r"multipart/form-data; boundary=(\w+)", headers["content-type"])
        assert edge
        _, part, end = body.decode().split(f"--{edge[1]}")
        assert 'name="file"' in part and 'filename="objects.ndjson"' in part and end.strip() == "--"
        seen.append(part.split("\r\n\r\n", 1)[1].strip())
        return 200, {"success": True, "successCount": len(seen[0].splitlines())}

    import_objects(Server(serve(answer).url, secrets), objects)
    assert seen == [objects.strip()]


def test_what_kibana_refuses_is_told(serve: Any, secrets: Path) -> None:
    kibana = serve(
        lambda *_: (200, {"success": False, "errors": [{"id": "x", "error": {"type": "missing_references"}}]})
    )
    with pytest.raises(KeeperError, match="missing_references"):
        import_objects(Server(kibana.url, secrets), saved_objects({"test": "logs-stellwerk-test-*"}))


def test_a_server_that_starts_is_waited_for_and_one_that_stays_away_is_told(
    serve: Any, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.logging.keeper.keep_logs.time.sleep", lambda _: None)
    answers = iter([(503, {}), (200, {"ok": True})])
    starting = Server(serve(lambda *_: next(answers)).url, secrets, wait_seconds=60)
    assert starting.ask("GET", "/") == (200, {"ok": True})
    with pytest.raises(KeeperError, match="503"):
        Server(serve(lambda *_: (503, {})).url, secrets, wait_seconds=0.1).ask("GET", "/")
