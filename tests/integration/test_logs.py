"""What `stellwerk logs` finds of one pod that prints everything odd, and of one that never started."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from delivery.project import Project as Checkout
from delivery.session import LocalCluster, Session
from infra.local.cluster.layout import HELPER_IMAGE
from tests.support.lines import TRACEBACK, ecs
from tests.support.project import Project

pytestmark = [pytest.mark.integration, pytest.mark.lane("test"), pytest.mark.timeout(3600)]
Wanted = Callable[[dict[str, Any]], bool]
Find = Callable[[Wanted, int], list[dict[str, Any]]]
SPACE, MODEL = "test-serving", f"x-logs-{uuid.uuid4().hex[:6]}"
REQUEST = f"{MODEL}-60"
TALKER, BROKEN = f"{MODEL}-predictor-talks", f"{MODEL}-predictor-broken"
ODD: dict[str, dict[str, Any]] = {
    "empty": {"": 1},
    "blank": {" ": 1},
    "reserved": {"_id": "x"},
    "source": {"_source": {"a": 1}},
    "changed": {"x.number": ["a", 1, {"b": 2}]},
    "long": {"x.keyword": "x" * 70_000},
    "large": {"x.number": 10**30},
    "many": {f"x.field{index}": index for index in range(1100)},
}

# What _files() makes: the odd ones and their number, one line of chunks, a claim, a long one, a traceback.
LINES = len(ODD) + 5


def _files() -> dict[str, str]:
    odd = [ecs("number", **{"x.number": 5}), *(ecs(f"odd-{name}", **fields) for name, fields in ODD.items())]
    claim = ecs("claim", **{"service.environment": "prod", "kubernetes": {"namespace": "prod-serving"}})
    long = ecs("long line", **{"http.request.id": REQUEST, "x.text": "word and " * 6700})
    return {
        "begin": "a" * 20_000,
        "warning": "from the other stream\n",
        "end": "end\n" + "".join(f"{line}\n" for line in [*odd, claim, long]),
        "trace": "".join(f"{line}\n" for line in TRACEBACK),
    }


def _pod(name: str, image: str, command: str) -> dict[str, Any]:
    container = {
        "name": "main", "image": image, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", command],
        "volumeMounts": [{"name": "text", "mountPath": "/text"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False,
            "securityContext": security, "volumes": [{"name": "text", "configMap": {"name": TALKER}}]}  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": SPACE}, "spec": spec}


@pytest.fixture(scope="module")
def hits(project: Project) -> Find:
    """Finds what the pods have left in the store, after they are gone."""
    metadata = {"name": TALKER, "namespace": SPACE}
    text = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": _files()}
    command = "cd /text; cat begin; cat warning >&2; cat end; cat trace >&2"
    pods = [_pod(TALKER, HELPER_IMAGE, command), _pod(BROKEN, "stellwerk.local/no-such-image:1", "exit")]
    made = project.root / "x-logs.json"
    made.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [text, *pods]}))

    def find(wanted: Wanted, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 300
        while True:
            all_hits = project.ask("logs", "--env", "test", "--model", MODEL, "-n", "1000")["hits"]
            hits = [hit for hit in all_hits if wanted(hit)]
            if len(hits) >= count or time.monotonic() > deadline:
                return hits
            time.sleep(0.5)

    try:
        project.kubectl("create", "-f", str(made))
        done = "jsonpath={.status.phase}=Succeeded"
        project.kubectl("-n", SPACE, "wait", "pod", TALKER, f"--for={done}", "--timeout=300s")
        waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull"
        project.kubectl("-n", SPACE, "wait", "pod", BROKEN, f"--for={waiting}", "--timeout=300s")
        # A pod's files are gone with it: the shipper must have read all of them.
        find(is_line, LINES)
    finally:
        project.kubectl("delete", "-f", str(made), "--ignore-not-found", "--grace-period=0", "--force", ok=False)
        made.unlink()
    return find


def is_line(hit: dict[str, Any]) -> bool:
    """Return whether a pod has printed it: it is no event."""
    return "kubernetes.event.count" not in hit


def test_lines_stay_whole(hits: Find) -> None:
    ours = hits(is_line, LINES)
    messages = [str(hit.get("message")) for hit in ours]
    assert messages.count("a" * 20_000 + "end") == 1
    (long,) = [hit for hit in ours if hit.get("http.request.id") == REQUEST]
    assert long["x.text"] == "word and " * 6700
    (trace,) = [hit for hit in ours if "Traceback" in str(hit.get("message"))]
    # What the same stream said just before belongs to it.
    assert (trace["message"].splitlines(), trace["log.level"]) == (["from the other stream", *TRACEBACK], "error")


def test_a_line_of_60_kb_is_found_by_its_fields(project: Project, hits: Find) -> None:
    assert hits(lambda hit: hit.get("http.request.id") == REQUEST, 1)
    assert len(project.ask("logs", "--request-id", REQUEST, "--wait")["hits"]) == 1


def test_what_elasticsearch_refuses_is_there_and_marked(hits: Find) -> None:
    odd = {hit["message"]: hit for hit in hits(lambda hit: str(hit.get("message")).startswith("odd-"), len(ODD))}
    assert set(odd) == {f"odd-{name}" for name in ODD}
    refused = {name for name in ODD if "log_refused" in odd[f"odd-{name}"].get("tags", [])}
    assert {"empty", "blank", "reserved", "many"} <= refused
    for name in refused:
        assert odd[f"odd-{name}"]["error.message"] and odd[f"odd-{name}"]["event.original"]


def test_a_line_cannot_claim_another_environment(project: Project, hits: Find) -> None:
    (claim,) = hits(lambda hit: hit.get("message") == "claim", 1)
    assert (claim["service.environment"], claim["kubernetes.namespace"]) == ("test", SPACE)
    assert claim["claimed.service.environment"] == "prod"
    assert project.ask("logs", "--env", "prod", "--model", MODEL)["hits"] == []


def test_the_reason_outlives_the_pod(hits: Find) -> None:
    # Of the pod's warnings, which come in no order, one names the image.
    def says(hit: dict[str, Any]) -> bool:
        warning = hit.get("kubernetes.pod.name") == BROKEN and hit.get("log.level") == "warn"
        return warning and "no-such-image" in hit["message"]

    event = hits(says, 1)[0]
    assert event["event.kind"] == "event"
    assert (event["kubernetes.namespace"], event["service.environment"]) == (SPACE, "test")


def test_what_the_shipper_says_is_in_the_store_too(project: Project, hits: Find) -> None:
    assert hits(lambda hit: "log_refused" in hit.get("tags", []), 1)
    deadline = time.monotonic() + 300
    said: list[dict[str, Any]] = []
    while not said and time.monotonic() < deadline:
        # Of its namespace alone: the newest lines of all dev may be those of a training, or of a build.
        session = Session(Checkout(project.root), project.variables, LocalCluster(dict, print, lambda: None))
        own = session.log_store("dev").search({"kubernetes.namespace": "dev-logging"}, 1000, wait=False)
        said = [line for line in own if "has refused lines" in str(line.get("message"))]
    assert said and said[0]["log.level"] == "warn"
