"""A million lines past a real Elasticsearch that is away for five minutes, and a shipper that dies twice."""

import gzip
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.logging.log_shipper import embedded_target
from tests.support.lines import ecs
from tests.support.log_store import RealStore, folder_of_a_server
from tests.support.shipping import Shipper, cri
from tests.support.tools import tool

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(6000)]
LINES = int(os.environ.get("STELLWERK_LOG_LINES", "1000000"))
OUTAGE = float(os.environ.get("STELLWERK_LOG_OUTAGE", "300"))
PODS = 8
# As kubelets rotate by default: at this size, the newest rotated file stays as it is, older ones are compressed.
ROTATED_AT = 10 * 1024 * 1024


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_of_a_server() as made:
        yield made


@pytest.fixture
def store(folder: Path) -> Iterator[RealStore]:
    made = RealStore(folder / "store", {"shipper": "word", "elastic": "other word"})
    made.start()
    yield made
    made.stop()


@pytest.fixture
def shipper(folder: Path, store: RealStore) -> Iterator[Shipper]:
    (folder / "node").mkdir()
    target = embedded_target("dev-platform")
    made = Shipper(tool("log-shipper"), folder / "node", store.url, target, store.authority)
    yield made
    made.kill()


def rotate(log: Path) -> None:
    """Do what the kubelet does with a file that is too large."""
    for older in log.parent.glob("0.log.2*"):
        if older.suffix != ".gz":
            older.with_name(older.name + ".gz").write_bytes(gzip.compress(older.read_bytes(), 1))
            older.unlink()
    log.rename(f"{log}.{datetime.now(UTC):%Y%m%d-%H%M%S}")


def write(shipper: Shipper, seconds: float) -> None:
    """Write all lines over this time, evenly: every other one is text, the rest are ECS."""
    logs = [shipper.log(f"pod-{number}") for number in range(PODS)]
    began, block = time.monotonic(), 2000
    for start in range(0, LINES, block):
        time.sleep(max(0.0, began + seconds * start / LINES - time.monotonic()))
        parts: list[list[bytes]] = [[] for _ in logs]
        for number in range(start, min(start + block, LINES)):
            text = f"line-{number} of a program that says what it does" if number % 2 else ecs(
                f"line-{number}", **{"log.level": "info", "http.request.id": f"request-{number}"})  # fmt: skip
            parts[number % PODS].append(cri(text))
        for log, each in zip(logs, parts, strict=True):
            with log.open("ab") as file:
                file.write(b"".join(each))
            if log.stat().st_size > ROTATED_AT:
                rotate(log)


def wait_for(store: RealStore, count: int, seconds: float, shipper: Shipper) -> float:
    began = time.monotonic()
    while (have := store.count()) < count:
        assert time.monotonic() < began + seconds, (have, (shipper.folder / "own.log").read_text()[-3000:])
        time.sleep(5)
    return time.monotonic() - began


def test_no_line_is_lost_and_none_comes_twice(shipper: Shipper, store: RealStore) -> None:
    shipper.start()
    writing = threading.Thread(target=write, args=(shipper, OUTAGE * 1.2))
    began = time.monotonic()
    writing.start()
    wait_for(store, LINES // 100, 600, shipper)
    before = store.count()
    store.stop()
    away = time.monotonic()
    time.sleep(OUTAGE / 2)
    shipper.kill()
    shipper.start()
    time.sleep(max(0.0, away + OUTAGE - time.monotonic()))
    store.start()
    back = time.monotonic()
    flowing = wait_for(store, before + 1, 300, shipper)
    wait_for(store, LINES // 2, 1800, shipper)
    shipper.end()
    shipper.start()
    writing.join()
    wait_for(store, LINES, 3000, shipper)
    ended = time.monotonic()
    # What is sent again would come now.
    time.sleep(10)
    numbers = Counter(int(message.split()[0].removeprefix("line-")) for message in store.messages())
    twice = [number for number, count in numbers.items() if count > 1]
    print(
        f"{LINES} lines: {before} before the outage of {back - away:.0f} s, more {flowing:.0f} s after it, "
        f"all {ended - back:.0f} s after it; "
        f"{len(numbers)} stored, {LINES - len(numbers)} lost, {len(twice)} twice; {ended - began:.0f} s in all"
    )
    assert twice == [] and set(numbers) == set(range(LINES))
    indices = store.client.get("/logs-stellwerk*/_alias").json()
    assert all(re.fullmatch(r"logs-stellwerk-test-\d{4}\.\d\d\.\d\d", name) for name in indices), indices
