"""The logs of a stack: by ECK, in a store of somebody else's, and for how long."""

import json
from typing import Any

import pulumi
import pytest

from tests.program.conftest import Run
from tests.program.harness import SENTINEL, Recording, leaks, stack_values
from tests.support.documents import whole_values

NODES = {"name": "all", "count": 3, "cpu": "1", "memory": "4Gi", "storage": "50Gi"}
USER = {"password": f"{SENTINEL}-word", "hash": f"{SENTINEL}-hash"}
ECK = {
    "mode": "eck",
    "podLogsPath": "/var/log/pods",
    "readers": {"auditor": ["prod"]},
    "eck": {"version": "9.1.4", "nodeSets": [NODES], "logstash": 1},
    "retention": {"days": 30, "environments": {"prod": 365}, "image": "python:3.11-slim"},
}


def values(logging: dict[str, Any], store: dict[str, Any]) -> dict[str, Any]:
    given = stack_values("prod")
    given["logging"] = whole_values("prod")["logging"] | logging
    given["credentials"]["logStore"] = store
    given["quota"] |= {"cpu": "8", "memory": "32Gi"}
    return given


@pytest.fixture(scope="module")
def users() -> dict[str, Any]:
    return {"users": {"shipper": USER, "reader": USER, "keeper": USER, "readers": {"auditor": USER}}}


def test_a_stack_runs_elastics_own_by_eck(run: Run, users: dict[str, Any]) -> None:
    program: Recording = run(values(ECK, users), "prod")
    for kind in ("Elasticsearch", "Kibana", "Logstash", "Beat", "CronJob", "Job"):
        assert program.of_kind(kind), kind
    assert [*leaks(program.inputs)] == []
    (job,) = program.of_kind("Job").values()
    (volume,) = [each for each in job["spec"]["template"]["spec"]["volumes"] if "projected" in each]
    names = [source["secret"]["name"] for source in volume["projected"]["sources"]]
    assert names[1:] == ["log-store-es-http-certs-public", "log-view-kb-http-certs-public"]


def test_the_lines_of_a_team_are_kept_by_what_its_environment_is_called(run: Run, users: dict[str, Any]) -> None:
    program: Recording = run({**values(ECK, users), "team": "vision"}, "prod")
    texts = [each["data"].get("plan.json") for each in program.of_kind("ConfigMap").values()]
    (plan,) = [text["[JSON]"] for text in texts if text]
    # Its pods are in namespaces of this name, and from these the indices have theirs.
    assert plan["environments"] == {"vision-prod": 30, "prod": 365}
    assert "/_index_template/logs-stellwerk-vision-prod" in plan["templates"]


def test_users_that_were_never_made_are_named(run: Run, users: dict[str, Any]) -> None:
    less = {"users": {name: user for name, user in users["users"].items() if name in ("shipper", "reader")}}
    with pytest.raises(pulumi.RunError, match=r"no auditor, keeper among .* run `stellwerk init prod`"):
        run(values(ECK, less), "prod")


def test_a_store_of_somebody_elses_gets_the_lines(run: Run) -> None:
    logging = {
        "mode": "external",
        "url": "https://logs.example.com:9200",
        "dataStream": "logs-stellwerk-prod",
        "podLogsPath": "/var/log/pods",
        "buffer": "4Gi",
    }
    login = {"username": "writer", "password": f"{SENTINEL}-writer"}
    program: Recording = run(values(logging, {**login, "username": "reader", "shipper": login}), "prod")
    assert [*leaks(program.inputs)] == []
    texts = [text for each in program.of_kind("ConfigMap").values() for text in each["data"].values()]
    shippers = [text for text in texts if "podlogs" in str(text)]
    (shipper,) = [text["[JSON]"] for text in shippers]
    exporter = shipper["exporters"]["elasticsearch"]
    assert (exporter["logs_index"], exporter["user"]) == ("logs-stellwerk-prod", "writer")
    assert exporter["sending_queue"]["queue_size"] == 4 * 1024**3
    assert "index" not in shipper["receivers"]["podlogs"], "all lines go into the data stream"
    assert not program.of_kind("Elasticsearch") and "log-shipper" in str(program.of_kind("DaemonSet"))


WRITER = {"username": "writer", "password": f"{SENTINEL}-writer"}
LOGINS = {**WRITER, "username": "reader", "shipper": WRITER}


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") or each["valueFrom"] for each in container["env"]}


def predictor(program: Recording) -> dict[str, Any]:
    return dict(program.of_kind("InferenceService")["digits"]["spec"]["predictor"])


def test_training_and_serving_ship_their_own_lines_into_the_embedded_store(run: Run) -> None:
    given = stack_values("dev")
    given["models"]["digits"].update(release="v2-3f2a9c1d")
    given["logging"]["shipping"] = "application"
    given["credentials"]["logStore"]["users"]["application"] = USER
    program = run(given, "dev")
    assert [*leaks(program.inputs)] == []
    served = predictor(program)
    assert {each["name"] for each in served["volumes"]} >= {"log-store"}
    for container, name in (
        (served["model"], "kserve-container"),
        (served["initContainers"][0], "storage-initializer"),
    ):
        known = variables(container)
        assert (known["LOG_STORE"], known["LOG_INDEX"]) == (
            "https://log-store.dev-platform.svc:9200", "logs-stellwerk-dev"
        )  # fmt: skip
        assert known["LOG_CONTAINER"] == name and known["POD_UID"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
        assert {"name": "log-store", "mountPath": "/log-store", "readOnly": True} in container["volumeMounts"]
    job = program.of_kind("CronJob")["train-digits"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (trains,) = job["containers"]
    known = variables(trains)
    assert (known["LOG_CONTAINER"], known["ENVIRONMENT"], known["LOG_SECRETS"]) == ("training", "dev", "/log-store")


def test_a_user_that_ships_is_made_by_init(run: Run) -> None:
    given = stack_values("dev")
    given["logging"]["shipping"] = "application"
    with pytest.raises(pulumi.RunError, match=r"no application among .* run `stellwerk init dev`"):
        run(given, "dev")


@pytest.mark.parametrize(
    ("more", "variable", "shippers"),
    [
        ({}, {"LOG_INDEX": "logs-stellwerk-prod"}, False),
        ({"dataStream": "logs-stellwerk-prod"}, {"LOG_DATA_STREAM": "logs-stellwerk-prod"}, False),
        ({"dataStream": "logs-stellwerk-prod", "podLogsPath": "/var/log/pods"},
         {"LOG_DATA_STREAM": "logs-stellwerk-prod"}, True),
    ],
)  # fmt: skip
def test_they_ship_into_a_store_of_somebody_elses(
    run: Run, more: dict[str, Any], variable: dict[str, str], shippers: bool
) -> None:
    logging = {"mode": "external", "url": "https://logs.example.com:9200", "shipping": "application", **more}
    given = values(logging, LOGINS)
    given["models"]["digits"].update(release="v2-3f2a9c1d")
    program = run(given, "prod")
    assert [*leaks(program.inputs)] == []
    known = variables(predictor(program)["model"])
    assert known.items() >= {"LOG_STORE": "https://logs.example.com:9200", **variable}.items()
    assert ("LOG_INDEX" in known) != ("LOG_DATA_STREAM" in known)
    assert bool(program.of_kind("DaemonSet")) == shippers


@pytest.mark.parametrize("stream", [None, "logs-stellwerk-prod"])
def test_somebody_elses_kibana_gets_saved_objects_and_no_line_is_deleted(run: Run, stream: str | None) -> None:
    kibana = {"url": "https://kibana.example.com/s/ml", "image": "python:3.11-slim"}
    logging = {"mode": "external", "url": "https://logs.example.com:9200", "kibana": kibana}
    logging |= {"dataStream": stream, "podLogsPath": "/var/log/pods"} if stream else {}
    given = values(logging, LOGINS)
    given["credentials"]["kibana"] = {"username": "viewer", "password": f"{SENTINEL}-viewer"}
    program = run(given, "prod")
    assert [*leaks(program.inputs)] == []
    assert len(program.of_kind("Job")) == 1 and bool(program.of_kind("DaemonSet")) == bool(stream)
    texts = [each["data"].get("plan.json") for each in program.of_kind("ConfigMap").values()]
    (plan,) = [text["[JSON]"] for text in texts if text]
    assert (plan["store"], plan["kibana"], plan["days"]) == (None, "https://kibana.example.com/s/ml", None)
    objects = [json.loads(line) for line in plan["objects"].splitlines()]
    (view,) = [each["attributes"]["title"] for each in objects if each["type"] == "index-pattern"]
    assert view == (stream or "logs-stellwerk-prod-*")
    queries = [json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"]
               for each in objects if each["type"] == "search"]  # fmt: skip
    assert all(('service.environment: "prod" and' in each) == bool(stream) for each in queries)


def test_by_default_the_nodes_shipper_does(run: Run) -> None:
    given = stack_values("prod")
    given["models"]["digits"].update(release="v2-3f2a9c1d")
    served = predictor(run(given, "prod"))
    assert "LOG_STORE" not in variables(served["model"]) and "volumeMounts" not in served["model"]
