"""What a process that ships its lines does with them, against a store with TLS that answers as Elasticsearch."""

import base64
import json
import os
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from delivery.operations.authority import make_authority, sign
from shipping import Shipper
from shipping.shipper import Origin
from shipping.store import Document, Refused, Store

# Seconds: on a busy machine the thread that sends has its turn late.
PATIENCE = 60.0
ORIGIN = Origin("test-serving", "digits-1", "uid-1", "main", "serving", "test")
LOGIN = "Basic " + base64.b64encode(b"application:word").decode()


class Bulk(ThreadingHTTPServer):
    """Creates documents by id, as `answer` lets it: a status for the whole request, or for one document."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.answer: Callable[[dict[str, Any] | None], int] = lambda _: 200
        self.sent: Counter[str] = Counter()
        self.strangers = 0
        authority, key = make_authority("tests")
        pair = sign(authority, key, ["127.0.0.1"])
        for name, text in {"ca.crt": authority, "username": "application", "password": "word", **pair}.items():
            (folder / name).write_text(text)
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "certificate", folder / "key")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.store = Store(f"https://127.0.0.1:{self.server_port}", folder)

    def create(self, action: dict[str, str], document: dict[str, Any]) -> dict[str, Any]:
        place = action["_index"], action["_id"]
        self.sent[action["_id"]] += 1
        status = 409 if place in self.documents else self.answer(document)
        if status == 200:
            self.documents[place] = document
        return {"status": 201} if status == 200 else {"status": status, "error": {"type": "no", "reason": "so it is"}}

    def messages(self) -> list[str]:
        return sorted(each["message"] for each in self.documents.values())


class _Handler(BaseHTTPRequestHandler):
    server: Bulk
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["content-length"])).splitlines()
        stranger = self.headers["authorization"] != LOGIN
        self.server.strangers += stranger
        status = 401 if stranger else self.server.answer(None)
        items = []
        if status == 200:
            pairs = zip(lines[::2], lines[1::2], strict=True)
            items = [{"create": self.server.create(json.loads(a)["create"], json.loads(d))} for a, d in pairs]
        body = json.dumps({"items": items}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def bulk(tmp_path: Path) -> Iterator[Bulk]:
    server = Bulk(tmp_path)
    yield server
    server.shutdown()
    server.server_close()


def line(message: str, day: str = "2026-01-02") -> bytes:
    return json.dumps({"@timestamp": f"{day}T03:04:05.678Z", "message": message}).encode() + b"\n"


def shipper(bulk: Bulk, **changes: Any) -> Shipper:
    return Shipper(bulk.store, "logs-stellwerk-test", True, ORIGIN, **changes)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def printed(capture: pytest.CaptureFixture[bytes]) -> list[dict[str, Any]]:
    return [json.loads(each) for each in capture.readouterr().out.splitlines()]


def until_said(words: str, capture: pytest.CaptureFixture[bytes]) -> list[str]:
    """Wait until a message with these words is printed; return all messages until then."""
    said: list[str] = []

    def is_said() -> bool:
        said.extend(each["message"] for each in printed(capture))
        return any(words in each for each in said)

    until(is_said)
    return said


def test_a_line_is_a_document_of_its_day_and_says_that_it_is_shipped(bulk: Bulk) -> None:
    ships = shipper(bulk)
    (first, second) = [json.loads(ships.ship(line("one", day))) for day in ("2026-01-02", "2026-01-03")]
    ships.close(PATIENCE)
    assert first["stellwerk.shipping"] == "application" and first["event.id"].startswith("uid-1/main/")
    assert bulk.documents["logs-stellwerk-test-2026.01.02", first["event.id"]] == {
        "@timestamp": "2026-01-02T03:04:05.678Z", "message": "one", "event.id": first["event.id"],
        "kubernetes.namespace": "test-serving", "kubernetes.pod.name": "digits-1", "kubernetes.container.name": "main",
    }  # fmt: skip
    assert ("logs-stellwerk-test-2026.01.03", second["event.id"]) in bulk.documents


def test_what_is_no_ecs_line_is_printed_as_it_is(bulk: Bulk) -> None:
    ships = shipper(bulk)
    given = [b"text\n", b'{"message": "no time"}\n', b'{"@timestamp":1}\n']
    assert [ships.ship(each) for each in given] == given
    ships.close(PATIENCE)
    assert bulk.documents == {}


@pytest.mark.parametrize("status", [401, 403, 429, 503])
@pytest.mark.parametrize("whole", [True, False])
def test_a_store_that_takes_nothing_now_gets_each_line_once_it_does(
    bulk: Bulk, status: int, whole: bool, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    bulk.answer = lambda document: status if (document is None) == whole else 200
    ships = shipper(bulk)
    for number in range(100):
        ships.ship(line(f"{number:03}"))
    until_said("does not take lines", capsysbinary)
    assert bulk.documents == {}
    bulk.answer = lambda _: 200
    until_said("the log store takes lines again", capsysbinary)
    ships.close(PATIENCE)
    lines = [f"{number:03}" for number in range(100)]
    assert [each for each in bulk.messages() if each.isdigit()] == lines


def test_a_line_whose_answer_was_lost_is_there_once(bulk: Bulk) -> None:
    lost = iter([503])

    def answer(document: dict[str, Any] | None) -> int:
        return 200 if document is None or document["message"] != "two" else next(lost, 200)

    bulk.answer = answer
    ships = shipper(bulk)
    for message in ("one", "two", "three"):
        ships.ship(line(message))
    until(lambda: len(bulk.documents) == 3)
    ships.close(PATIENCE)
    assert bulk.messages() == ["one", "three", "two"]


def test_a_full_buffer_leaves_lines_to_the_nodes_shipper_and_says_so(
    bulk: Bulk, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    all_shipped = threading.Event()

    def busy(_: dict[str, Any] | None) -> int:
        all_shipped.wait(PATIENCE)
        return 503

    bulk.answer = busy
    ships = shipper(bulk, buffer_bytes=10_000)
    shown = [json.loads(ships.ship(line(f"{number:03}"))) for number in range(100)]
    left = [each for each in shown if "stellwerk.shipping" not in each]
    assert 0 < len(left) < 100 and all(each["event.id"].startswith("uid-1/main/") for each in left)
    all_shipped.set()
    until_said(f"{len(left)} lines are on standard output alone: the buffer of", capsysbinary)
    bulk.answer = lambda _: 200
    until(lambda: len([each for each in bulk.messages() if each.isdigit()]) == 100 - len(left))
    ships.close(PATIENCE)


def test_what_the_store_refuses_is_printed_again_without_the_mark(
    bulk: Bulk, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    bulk.answer = lambda document: 400 if document and document["message"] == "bad" else 200
    ships = shipper(bulk)
    bad = json.loads(ships.ship(line("bad")))
    ships.ship(line("good"))
    until(lambda: "good" in bulk.messages())
    ships.close(PATIENCE)
    del bad["stellwerk.shipping"]
    shown = printed(capsysbinary)
    assert bad in shown and any(
        "refuses 1 lines" in each["message"] and "so it is" in each["message"] for each in shown
    )


def test_once_closed_nothing_is_sent_or_said_any_more(bulk: Bulk) -> None:
    bulk.answer = lambda _: 503
    ships = shipper(bulk)
    ships.ship(line("never"))
    ships.close(0.1)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "shipping"])


def test_what_waits_at_the_end_is_sent_or_printed_again(bulk: Bulk, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    ships = shipper(bulk)
    ships.ship(line("sent"))
    ships.close(PATIENCE)
    assert bulk.messages() == ["sent"] and printed(capsysbinary) == []
    bulk.answer = lambda _: 503
    ships = shipper(bulk)
    marked = [json.loads(ships.ship(line(message))) for message in ("one", "two")]
    ships.close(seconds=1.0)
    assert [each for each in printed(capsysbinary) if each["message"] in ("one", "two")] == [
        {key: value for key, value in each.items() if key != "stellwerk.shipping"} for each in marked
    ]
    assert b"stellwerk.shipping" not in ships.ship(line("late"))


class SilentStore(Store):
    """Answers no request until `answers` is set, however long the connection itself would wait."""

    def __init__(self, bulk: Bulk, folder: Path) -> None:
        super().__init__(f"https://127.0.0.1:{bulk.server_port}", folder)
        self.asked, self.answers = threading.Event(), threading.Event()

    def create(self, documents: Sequence[Document], ending: bytes) -> tuple[list[Document], list[Refused]]:
        self.asked.set()
        self.answers.wait()
        return super().create(documents, ending)


def test_nobody_waits_for_a_store_that_does_not_answer(bulk: Bulk, tmp_path: Path) -> None:
    store, handed = SilentStore(bulk, tmp_path), list[bytes]()
    ships = Shipper(store, "logs-stellwerk-test", True, ORIGIN)

    def hand_over() -> None:
        handed.append(ships.ship(line("first")))
        store.asked.wait()
        handed.extend([ships.ship(line(f"{number}")) for number in range(2000)])

    process = threading.Thread(target=hand_over, daemon=True)
    process.start()
    # The answer comes after all lines: one that waits for it waits for ever.
    process.join(PATIENCE)
    before = list(handed)
    store.answers.set()
    assert [b"stellwerk.shipping" in each for each in before] == [True] * 2001, "a line waits for the answer to another"
    until(lambda: len(bulk.documents) == 2001)
    ships.close(PATIENCE)


def test_a_changed_login_is_read_again(bulk: Bulk, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("old word")
    ships = shipper(bulk)
    ships.ship(line("one"))
    until(lambda: bulk.strangers)
    (tmp_path / "password").write_text("word")
    until(lambda: bulk.messages() == ["one"])
    ships.close(PATIENCE)


def test_a_copy_of_the_process_leaves_its_lines_to_the_nodes_shipper(bulk: Bulk) -> None:
    ships = shipper(bulk)
    ours, theirs = os.pipe()
    if (child := os.fork()) == 0:
        os.write(theirs, ships.ship(line("of the copy")))
        os._exit(0)
    os.waitpid(child, 0)
    assert b"stellwerk.shipping" not in os.read(ours, 1000)
    ships.ship(line("ours"))
    ships.close(PATIENCE)
    assert bulk.messages() == ["ours"]


def test_an_authority_that_is_not_given_is_not_trusted(
    bulk: Bulk, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "ca.crt").write_text(make_authority("others")[0])
    ships = shipper(bulk)
    ships.ship(line("one"))
    until_said("CERTIFICATE_VERIFY_FAILED", capsysbinary)
    ships.close(0.1)
    assert bulk.sent == {}
