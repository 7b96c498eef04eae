"""The logs of a stack: by ECK, in a store of somebody else's, and for how long."""

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
