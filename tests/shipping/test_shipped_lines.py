"""A real server's lines past an outage of a real Elasticsearch: shipped by itself, the rest by its node's shipper."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from components.kit.access import LogStoreAccessArgs
from components.kit.log_access import FIELDS, variables
from components.logging.log_shipper import embedded_target
from tests.support.log_store import RealStore, folder_of_a_server
from tests.support.onnx_models import digest_of, doubling_model
from tests.support.server import Server, environment, wait_until_ready
from tests.support.shipping import Shipper, cri
from tests.support.tools import free_port, tool

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(1200)]
# The last of them are more than the buffer of 8 MiB holds.
ALL = 16_000
MARK, REQUEST = '"stellwerk.shipping":"application"', "http.request.id"
POD, UID, NAMESPACE, CONTAINER = "digits-predictor-1", "uid-digits-predictor-1", "test-serving", "main"


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_of_a_server() as made:
        yield made


@pytest.fixture
def store(folder: Path) -> Iterator[RealStore]:
    users = {name: f"word of {name}" for name in ("application", "elastic")} | {"shipper": "word"}
    # The role is that of the store's own environment.
    made = RealStore(folder / "store", users, environment="test")
    made.start()
    yield made
    made.stop()


def pod_variables(store: RealStore, folder: Path, **changes: str) -> dict[str, str]:
    """What the components give to a pod, with the Secret in a folder of this machine."""
    access: LogStoreAccessArgs = {
        "url": store.url, "login": {"username": "application", "password": "never used"}, "trust_bundle": "x",
        "environment": "test", "index": "logs-stellwerk-test",
    }  # fmt: skip
    secrets = folder / "log-store"
    secrets.mkdir()
    for name, text in {"username": "application", "password": store.passwords["application"],
                       "ca.crt": store.authority}.items():  # fmt: skip
        (secrets / name).write_text(text)
    fields = dict(zip(FIELDS, (NAMESPACE, POD, UID), strict=True))
    values = {name: str(value) for name, value in variables(access, CONTAINER).items()}
    return {**values, **fields, "LOG_SECRETS": str(secrets), **changes}


@contextmanager
def served(folder: Path, log: Path, given: Mapping[str, str]) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """Run the server with what it prints in a file as the container runtime writes it."""
    path, port = folder / "model.onnx", free_port()
    path.write_bytes(doubling_model())
    values = environment(path, PORT=str(port), MODEL_DIGEST=digest_of(doubling_model()), **given)
    process = subprocess.Popen(
        [sys.executable, "-m", "serving"], cwd=folder, env=values, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    def write() -> None:
        assert process.stdout
        with log.open("ab", buffering=0) as file:
            for line in process.stdout:
                file.write(cri(line.rstrip(b"\n")))

    writing = threading.Thread(target=write)
    writing.start()
    server = Server(process, f"http://127.0.0.1:{port}", log)  # type: ignore[arg-type]
    try:
        wait_until_ready(server)
        yield server, process
    finally:
        process.kill()
        process.wait()
        writing.join()


def ask(server: Server, names: range, padding: int = 0) -> None:
    """Send requests with these numbers; `padding` are the bytes by which the line of each is longer."""
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 3.0]}
    body = json.dumps({"inputs": [tensor], **({"id": "x" * padding} if padding else {})})
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    for number in names:
        headers = {"content-type": "application/json", "x-request-id": f"request-{number}"}
        connection.request("POST", "/v2/models/digits/infer", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
    connection.close()


def requests(store: RealStore) -> Counter[str]:
    store.client.post("/logs-stellwerk*/_refresh")
    by_id = {"ids": {"terms": {"field": REQUEST, "size": 2 * ALL}}}
    answer = store.client.post("/logs-stellwerk*/_search", json={"size": 0, "aggs": by_id})
    answer.raise_for_status()
    buckets = answer.json().get("aggregations", {}).get("ids", {}).get("buckets", [])
    return Counter({each["key"]: each["doc_count"] for each in buckets})


def until(store: RealStore, count: int, log: Path, seconds: float = 120) -> Counter[str]:
    deadline = time.monotonic() + seconds
    while len(seen := requests(store)) < count:
        assert time.monotonic() < deadline, (len(seen), count, log.read_text()[-3000:])
        time.sleep(1)
    return seen


def test_no_line_is_lost_and_none_comes_twice(folder: Path, store: RealStore) -> None:
    (folder / "node").mkdir()
    node = Shipper(tool("log-shipper"), folder / "node", store.url, embedded_target("dev-platform"), store.authority)
    log = node.log(POD, NAMESPACE)
    node.start()
    try:
        with served(folder, log, pod_variables(store, folder)) as (server, process):
            ask(server, range(500))
            assert max(until(store, 500, log).values()) == 1
            # Within the buffer: the process ships all of them by itself.
            store.stop()
            ask(server, range(500, 1500))
            time.sleep(5)
            store.start()
            until(store, 1500, log)
            said = log.read_text()
            assert "does not take lines" in said and "takes lines again" in said
            assert all(MARK in line for line in said.splitlines() if REQUEST in line)
            # More than the buffer, and an end before the store is back: the node's shipper has the rest.
            store.stop()
            ask(server, range(1500, ALL), padding=128)
            process.terminate()
            process.wait(timeout=300)
        store.start()
        until(store, ALL, log)
        # What is sent again would come now.
        time.sleep(5)
        seen = requests(store)
    finally:
        node.end()
    printed = [line for line in log.read_text().splitlines() if REQUEST in line]
    marked = sum(MARK in line for line in printed)
    print(f"{len(printed)} lines printed for {ALL} requests, {marked} of them with the mark")
    assert seen == Counter(f"request-{number}" for number in range(ALL)), "none lost, none twice"
    assert "standard output alone" in log.read_text() and marked < ALL < len(printed)
    body = {"size": 1, "query": {"term": {"http.request.id": "request-7"}}}
    (document,) = store.client.post("/logs-stellwerk*/_search", json=body).json()["hits"]["hits"]
    source = document["_source"]
    assert document["_id"] == source["event.id"] and source["kubernetes.pod.name"] == POD
    assert "stellwerk.shipping" not in source and document["_index"].startswith("logs-stellwerk-test-")


def test_a_pods_user_writes_into_its_environment_alone(store: RealStore) -> None:
    login = ("application", store.passwords["application"])
    with httpx.Client(base_url=store.url, verify=store.trust, trust_env=False, auth=login, timeout=60) as client:
        for index, status in (("logs-stellwerk-test-2026.01.02", 201), ("logs-stellwerk-prod-2026.01.02", 403),
                              ("logs-stellwerk-test-two-2026.01.02", 403), ("others", 403)):  # fmt: skip
            document = {"@timestamp": "2026-01-02T03:04:05Z", "message": "x"}
            assert client.put(f"/{index}/_create/1", json=document).status_code == status, index
        assert client.put("/logs-stellwerk-test-2026.01.02/_doc/1", json={"message": "y"}).status_code == 403
        assert client.get("/logs-stellwerk-test-2026.01.02/_search").status_code == 403
