"""The log shipper's own binary over files like the container runtime's, with a store that answers as Elasticsearch."""

import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.logging.log_shipper import embedded_target
from tests.support.lines import TRACEBACK, ecs
from tests.support.shipping import CHUNK, Shipper, append, cri
from tests.support.tools import tool

pytestmark = pytest.mark.tools


class Store(ThreadingHTTPServer):
    """Creates documents by id; refuses those with a blank field name, and an id that it has."""

    daemon_threads = True

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.indices: dict[str, set[str]] = {}
        self.away: Callable[[], int] = lambda: 200
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Bulk)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def create(self, action: dict[str, str], document: dict[str, Any]) -> dict[str, Any]:
        identity = action["_id"]
        with self.lock:
            if (status := self.away()) != 200:
                return {"status": status, "error": {"type": "es_rejected_execution_exception", "reason": "busy"}}
            if not all(field.strip() for field in document):
                reason = {"type": "document_parsing_exception", "reason": "no name of a field"}
                return {"status": 400, "error": reason}
            if identity in self.documents:
                return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "exists"}}
            self.documents[identity] = document
            self.indices.setdefault(action["_index"], set()).add(document["kubernetes.pod.name"])
            return {"status": 201}

    def of(self, pod: str, count: int) -> list[dict[str, Any]]:
        """The pod's documents by time, once there are `count`."""
        deadline = time.monotonic() + 100
        while True:
            with self.lock:
                documents = [each for each in self.documents.values() if each["kubernetes.pod.name"] == pod]
            if len(documents) >= count or time.monotonic() > deadline:
                return sorted(documents, key=lambda each: str(each["@timestamp"]))
            time.sleep(0.1)


class _Bulk(BaseHTTPRequestHandler):
    server: Store

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["content-length"])).splitlines()
        pairs = zip(lines[::2], lines[1::2], strict=True)
        items = [{"create": self.server.create(json.loads(a)["create"], json.loads(d))} for a, d in pairs]
        failed = any("error" in item["create"] for item in items)
        body = json.dumps({"took": 1, "errors": failed, "items": items}).encode()
        self.send_response(500 if self.server.away() == 500 else 200)
        for name, value in (("X-Elastic-Product", "Elasticsearch"), ("Content-Type", "application/json")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def binary() -> Path:
    return tool("log-shipper")


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def shipper(binary: Path, tmp_path: Path, store: Store) -> Iterator[Shipper]:
    made = Shipper(binary, tmp_path, f"http://127.0.0.1:{store.server_port}", embedded_target("dev-platform"))
    yield made
    made.kill()


def test_a_line_of_the_other_stream_stays_out_of_a_long_line(shipper: Shipper, store: Store) -> None:
    first, second = cri("a" * CHUNK + "end").splitlines(keepends=True)
    append(shipper.log("streams"), first, cri("warning", "stderr"), second)
    long = ecs("long", **{"http.request.id": "r-60", "text": "word and " * 7000})
    append(shipper.log("long"), cri(long))
    shipper.start()
    assert [each["message"] for each in store.of("streams", 2)] == ["a" * CHUNK + "end", "warning"]
    (line,) = store.of("long", 1)
    assert (line["http.request.id"], line["text"]) == ("r-60", "word and " * 7000), "spaces at chunk ends, too"


def test_a_chained_traceback_is_one_document(shipper: Shipper, store: Store) -> None:
    log = shipper.log("trace")
    append(log, cri("before", "stderr"))
    append(log, *(cri(line, "stderr") + cri("meanwhile") for line in TRACEBACK), cri("after", "stderr"))
    java = (
        "Exception in thread main java.lang.Error: x",
        "\tat a.B.c(B.java:1)",
        "Caused by: java.io.E",
        "\t... 1 more",
    )
    go = ("panic: x", "", "goroutine 1 [running]:", "main.main()", "\t/src/main.go:3 +0x1", "exit status 2")
    append(shipper.log("java"), *map(cri, java), cri("after"))
    append(shipper.log("go"), *map(cri, go), cri("after"))
    append(shipper.log("plain"), cri("one"), cri("two"), cri("ValueError: not after a traceback"))
    shipper.start()
    errors = [each for each in store.of("trace", 2 + len(TRACEBACK)) if each.get("log.level") == "error"]
    assert [each["message"] for each in errors] == ["before\n" + "\n".join(TRACEBACK)]
    for pod, lines in (("java", java), ("go", go)):
        failure, after = store.of(pod, 2)
        assert (failure["message"], failure["log.level"]) == ("\n".join(lines), "error")
        assert "log.level" not in after
    assert len(store.of("plain", 3)) == 3


def test_a_shipper_that_is_behind_does_not_cut(shipper: Shipper, store: Store) -> None:
    """What a buffer holds is not all that the file has."""
    log = shipper.log("behind")
    for index in range(50):
        append(log, cri(f"long-{index} {'x' * 3 * CHUNK}", age=60 - index / 10))
        append(log, *(cri(line, "stderr", age=60 - index / 10) for line in (f"failed-{index}", *TRACEBACK)))
    shipper.start()
    messages = [each["message"] for each in store.of("behind", 100)]
    assert len(messages) == 100 and sum(message.endswith(TRACEBACK[-1]) for message in messages) == 50
    assert sum(len(message) > 3 * CHUNK for message in messages) == 50


def test_what_the_store_refuses_is_stored_marked(shipper: Shipper, store: Store) -> None:
    many = {f"field{index}": index for index in range(1000)}
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    lines = (ecs("empty", **{"": 1}), ecs("blank", **{" ": 1}), ecs("many", **many), ecs("deep", deep=deep))
    append(shipper.log("odd"), *map(cri, lines), cri(ecs("good")), cri(b"\xff\xfe bytes"), b"\0\0torn\n")
    shipper.start()
    documents = store.of("odd", 7)
    refused = {json.dumps(each): each for each in documents if "log_refused" in each.get("tags", [])}
    assert len(refused) == 4 and len(documents) == 7
    for word in ("empty", "blank", "many", "deep"):
        (one,) = [each for text, each in refused.items() if word in text]
        assert one["error.message"] and one["service.environment"] == "test"
    assert [each["message"] for each in documents if each.get("tags") == ["log_malformed"]] == ["\0\0torn"]
    assert {"good", "\ufffd bytes"} <= {each["message"] for each in documents}


def test_each_environment_and_day_has_an_index(shipper: Shipper, store: Store) -> None:
    day = 24 * 3600
    today, yesterday = (datetime.now(UTC) - timedelta(days=age) for age in (0, 1))
    for pod, namespace, age in (("p1", "dev-serving", 0), ("p2", "prod-training", day), ("p3", "kube-system", 0)):
        append(shipper.log(pod, namespace), cri(ecs(f"of {pod}"), age=age))
    shipper.start()
    for pod in ("p1", "p2", "p3"):
        assert store.of(pod, 1)
    assert store.indices == {
        f"logs-stellwerk-dev-{today:%Y.%m.%d}": {"p1"},
        f"logs-stellwerk-prod-{yesterday:%Y.%m.%d}": {"p2"},
        f"logs-stellwerk-{today:%Y.%m.%d}": {"p3"},
    }


@pytest.mark.parametrize("status", [500, 429, 403])
def test_a_store_that_takes_nothing_for_a_while_gets_it_all_afterwards(
    shipper: Shipper, store: Store, status: int
) -> None:
    store.away = lambda: status
    append(shipper.log("waits"), *(cri(ecs(f"line-{number}")) for number in range(100)))
    shipper.start()
    time.sleep(8)
    assert not store.documents
    store.away = lambda: 200
    assert len(store.of("waits", 100)) == 100


def test_a_line_cannot_claim_another_place(shipper: Shipper, store: Store) -> None:
    nested = {"namespace": "prod-serving", "pod": {"name": "other"}}
    dotted = {"kubernetes.namespace": "prod-serving", "kubernetes": {"pod.name": "other", "container.name": "x"}}
    claims = ({"service.environment": "prod"}, {"service": {"environment": "prod"}}, {"kubernetes": nested}, dotted)
    append(shipper.log("claims"), *(cri(ecs("claim", **claim)) for claim in claims))
    append(shipper.log("outside", "kube-system"), cri(ecs("claim", **claims[0])))
    append(shipper.log("digits-predictor-1"), cri("does not start"))
    shipper.start()
    documents = store.of("claims", 4)
    places = {(each["service.environment"], each["kubernetes.namespace"], each["kubernetes.pod.name"],
               each["kubernetes.container.name"]) for each in documents}  # fmt: skip
    assert places == {("test", "test-serving", "claims", "main")}
    assert [each["claimed.service.environment"] for each in documents if "claimed.service.environment" in each] == [
        "prod"
    ] * 2
    assert not any("kubernetes" in each or "service" in each for each in documents)
    (outside,) = store.of("outside", 1)
    assert "service.environment" not in outside
    (started,) = store.of("digits-predictor-1", 1)
    assert started["stellwerk.model"] == "digits"


def test_killed_again_and_again_it_loses_nothing_and_repeats_nothing(shipper: Shipper, store: Store) -> None:
    log = shipper.log("busy")
    kinds: tuple[Callable[[str], list[bytes]], ...] = (
        lambda name: [cri(name)],
        lambda name: [cri(name, "stderr"), *(cri(line, "stderr") for line in TRACEBACK)],
        lambda name: cri(f"{name} {'x' * 2 * CHUNK}").splitlines(keepends=True),
        lambda name: [cri(ecs(name))],
    )
    chance = random.Random(1)  # noqa: S311

    def write() -> None:
        for index in range(500):
            for part in kinds[index % 4](f"line-{index}"):
                append(log, part)
                time.sleep(0.01 if chance.random() < 0.2 else 0)
            if index == 250:
                shutil.move(log, f"{log}.20260102-030405")

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        shipper.start()
        time.sleep(chance.uniform(0.4, 1.2))
        shipper.kill()
    shipper.start()
    documents = store.of("busy", 500)
    names = sorted(int(each["message"].split()[0].removeprefix("line-")) for each in documents)
    assert names == list(range(500))
    whole = "\n".join(TRACEBACK)
    assert sum(each["message"].endswith(whole) for each in documents) == 125


def test_a_line_that_its_program_ships_is_left_out(shipper: Shipper, store: Store) -> None:
    mark = {"stellwerk.shipping": "application", "event.id": "uid-pod/main/5/1"}
    append(shipper.log("pod"), cri(ecs("shipped", **mark)), cri("text of a library"), cri(ecs("of before")))
    shipper.start()
    assert [each["message"] for each in store.of("pod", 2)] == ["of before", "text of a library"]
    time.sleep(2)
    assert len(store.documents) == 2


def test_what_a_program_gives_back_has_the_id_that_it_was_sent_with(shipper: Shipper, store: Store) -> None:
    now = datetime.now(UTC)
    said = now - timedelta(hours=5)

    def line(identity: str, time: datetime) -> bytes:
        document = {"@timestamp": time.isoformat(), "message": identity, "event.id": identity}
        return cri(json.dumps(document))

    given = [("uid-pod/main/5/1", said), ("uid-other/main/5/2", said), ("uid-pod/else/5/3", said),
             ("uid-pod/main/5/4", now - timedelta(days=30))]  # fmt: skip
    append(shipper.log("pod"), *(line(*each) for each in given))
    shipper.start()
    store.of("pod", 4)
    ids = {document["message"]: identity for identity, document in store.documents.items()}
    assert {name for name, identity in ids.items() if name == identity} == {"uid-pod/main/5/1", "uid-pod/main/5/4"}
    days = {index[-10:] for index in store.indices}
    assert days == {f"{at:%Y.%m.%d}" for at in (said, now)}, "the day of a line is its own, unless it claims another"
