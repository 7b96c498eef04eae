"""What the real Elasticsearch makes of LogStack's files: templates, roles and users; and its keeper's work in it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.logging.keeper.keep_logs import main
from components.logging.log_keeper import plan_of
from tests.support.log_store import RealStore, folder_of_a_server

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(1200)]
TODAY = datetime.now(UTC)
USERS = ("shipper", "reader", "keeper", "elastic", "search-team", "both")
READERS = {"search-team": ["test"], "both": ["test", "prod"]}


def index(environment: str, age: int = 0) -> str:
    return f"logs-stellwerk-{environment}-{TODAY - timedelta(days=age):%Y.%m.%d}"


INDICES = [
    *(index("test"), index("test", 3), index("test", 9)),
    *(index("prod"), index("prod", 9), index("prod", 99)),
    # Of another environment whose name begins alike.
    *(index("test-two"), f"logs-stellwerk-{TODAY - timedelta(days=9):%Y.%m.%d}"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[RealStore]:
    with folder_of_a_server() as folder:
        made = RealStore(folder / "store", {name: f"word of {name}" for name in USERS}, READERS)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def as_user(store: RealStore, name: str) -> httpx.Client:
    return httpx.Client(base_url=store.url, verify=store.trust, trust_env=False, timeout=60,
                        auth=(name, store.passwords[name]))  # fmt: skip


def bulk(client: httpx.Client, action: str, name: str, number: int) -> dict[str, Any]:
    line = {"@timestamp": TODAY.isoformat(), "message": name, "log.level": "info", "stellwerk.model": "iris"}
    body = json.dumps({action: {"_index": name, "_id": f"{number}"}}) + "\n" + json.dumps(line) + "\n"
    answer = client.post("/_bulk", content=body, headers={"Content-Type": "application/x-ndjson"}).json()
    (item,) = answer["items"]
    return dict(item[action])


@pytest.fixture
def store(server: RealStore) -> RealStore:
    """The server with a line in each index; the shipper's user makes the indices by writing it."""
    with as_user(server, "shipper") as client:
        for name in INDICES:
            assert bulk(client, "create", name, 1)["status"] in (201, 409), name
    server.client.post("/logs-stellwerk*/_refresh").raise_for_status()
    return server


def seen(store: RealStore, user: str, pattern: str) -> list[str]:
    with as_user(store, user) as client:
        answer = client.get(f"/{pattern}/_search?size=100")
    answer.raise_for_status()
    return sorted(hit["_source"]["message"] for hit in answer.json()["hits"]["hits"])


def test_the_state_file_is_applied_without_an_error(store: RealStore) -> None:
    state = store.client.get("/_cluster/state/metadata?filter_path=metadata.reserved_state").json()
    (reserved,) = state["metadata"]["reserved_state"].values()
    assert not reserved.get("errors"), reserved
    known = store.client.get("/_component_template/stellwerk-*").json()["component_templates"]
    assert {each["name"] for each in known} == {"stellwerk-ecs", "stellwerk-lines"}
    answer = store.client.put("/_component_template/stellwerk-ecs", json={"template": {}})
    assert answer.status_code == 400 and "read-only by [file_settings]" in answer.text, (
        "nobody changes it beside the file"
    )


def test_daily_indices_are_as_the_templates_say(store: RealStore) -> None:
    for name in INDICES:
        made = store.client.get(f"/{name}").json()[name]
        fields, settings = made["mappings"], made["settings"]["index"]
        assert fields["subobjects"] in (False, "false")
        assert fields["properties"]["stellwerk.model"]["type"] == "keyword"
        assert fields["properties"]["message"]["type"] == "text"
        assert (settings["number_of_replicas"], settings["refresh_interval"]) == ("0", "1s")


def test_the_shipper_creates_and_neither_changes_nor_reads(store: RealStore) -> None:
    with as_user(store, "shipper") as client:
        assert bulk(client, "create", index("test"), 1)["status"] == 409, "a line that is sent again"
        assert bulk(client, "index", index("test"), 1)["status"] == 403
        assert bulk(client, "create", "others", 1)["status"] == 403
        assert client.get(f"/{index('test')}/_search").status_code == 403


@pytest.mark.parametrize(
    ("user", "environments"),
    [("search-team", {"test"}), ("both", {"test", "prod"}), ("reader", {"test", "prod", "test-two", ""})],
)
def test_a_reader_reads_its_environments_alone(store: RealStore, user: str, environments: set[str]) -> None:
    named = {name: name.removeprefix("logs-stellwerk-").rpartition("-")[0] for name in INDICES}
    mine = sorted(name for name in INDICES if named[name] in environments)
    assert seen(store, user, "logs-stellwerk*") == mine
    assert seen(store, user, "*") == mine
    with as_user(store, user) as client:
        for name in INDICES:
            assert client.get(f"/{name}/_search").status_code == (200 if name in mine else 403), name
        assert client.post(f"/{mine[0]}/_doc", json={"message": "forged"}).status_code == 403
        assert client.delete(f"/{mine[0]}").status_code == 403


def test_the_keeper_deletes_what_is_old_and_reads_nothing(store: RealStore, tmp_path: Path) -> None:
    with as_user(store, "keeper") as client:
        assert client.get(f"/{index('test')}/_search").status_code == 403
    for name, text in {"username": "keeper", "password": store.passwords["keeper"], "ca.crt": store.authority}.items():
        (tmp_path / name).write_text(text)
    plan = plan_of(7, {"prod": 90})
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "store": store.url, "kibana": None}))
    assert main({"PLAN": str(tmp_path / "plan.json"), "SECRETS": str(tmp_path)}) == 0
    left = set(store.client.get("/logs-stellwerk*/_alias").json())
    gone = {index("test", 9), index("prod", 99), f"logs-stellwerk-{TODAY - timedelta(days=9):%Y.%m.%d}"}
    assert left == set(INDICES) - gone
