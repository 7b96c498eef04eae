"""EckStack: what it registers, and what ECK's real operator makes of it in front of a real API server."""

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.logging.eck_arguments import EckStackArgs
from components.logging.eck_stack import EckStack
from components.logging.filebeat import filebeat_config
from delivery.clients.control_plane import ControlPlane
from infra.local.toolchain.paths import view
from tests.components.mocks import declared
from tests.program.harness import SENTINEL, Recording, leaks
from tests.program.pod_security import violations
from tests.support.objects import objects
from tests.support.simulated import simulated_cluster, variables
from tests.support.tools import running, tool

NAMESPACE = "dev-platform"
KINDS = {
    "elasticsearches.elasticsearch.k8s.elastic.co": "log-store",
    "kibanas.kibana.k8s.elastic.co": "log-view",
    "logstashes.logstash.k8s.elastic.co": "log-pipeline",
    "beats.beat.k8s.elastic.co": "log-shipper",
}


def arguments() -> EckStackArgs:
    hashed = {"password": "never used", "hash": pulumi.Output.secret(f"{SENTINEL}-hash")}
    master = {"name": "masters", "count": 3, "roles": ["master"], "cpu": "500m", "memory": "2Gi", "storage": "10Gi"}
    data = {"name": "data", "count": 2, "roles": ["data", "ingest"], "cpu": "1", "memory": "4Gi", "storage": "200Gi",
            "storage_class": "fast"}  # fmt: skip
    return {
        "environment": "dev",
        "namespace": NAMESPACE,
        "version": "9.1.4",
        "images": {"elasticsearch": "registry.example.com/elasticsearch:9.1.4"},
        "node_sets": [master, data],  # type: ignore[list-item]
        "kibana": 2,
        "logstash": 2,
        "users": {"reader": hashed, "keeper": hashed, "auditor": hashed},  # type: ignore[dict-item]
        "readers": {"auditor": ["test", "prod"]},
        "secure_settings": ["snapshot-keys"],
        "pod_logs_path": "/var/log/pods",
        "buffer": "2Gi",
    }


@pytest.fixture(scope="module")
def program() -> Recording:
    return declared(lambda: EckStack("logs", arguments()))


def test_no_secret_value_stands_outside_a_secret(program: Recording) -> None:
    assert [*leaks(program.inputs)] == []


def test_a_reader_of_some_environments_reads_their_indices_alone(program: Recording) -> None:
    (realm,) = [each for each in objects(program) if each["kind"] == "Secret"]
    lines = realm["stringData"]["roles.yml"].splitlines()
    (rights,) = [json.loads(line.split(": ", 1)[1]) for line in lines if line.startswith("reader-auditor: ")]
    patterns = ["logs-stellwerk-test-????.??.??", "logs-stellwerk-prod-????.??.??"]
    assert rights == {"indices": [{"names": patterns, "privileges": ["read"]}]}
    assert "reader-auditor:auditor\n" in realm["stringData"]["users_roles"]
    names = [each.replace("?", ".") for each in patterns]
    fitting = [index for index in ("logs-stellwerk-test-2026.01.02", "logs-stellwerk-test-2x-2026.01.02")
               if any(re.fullmatch(name, index) for name in names)]  # fmt: skip
    assert fitting == ["logs-stellwerk-test-2026.01.02"]


@pytest.mark.parametrize("changes", [{"node_sets": []}, {"users": {"writer": {"password": "", "hash": ""}}}])
def test_no_nodes_and_users_without_a_role_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"node_sets|users"):
        declared(lambda: EckStack("logs", {**arguments(), **changes}))  # type: ignore[typeddict-item]


def test_filebeat_writes_the_indices_of_the_projects_own_shipper() -> None:
    config = filebeat_config("log-store", "1Gi")
    assert config["output.elasticsearch"]["index"] == "logs-stellwerk%{[@metadata.place]}-%{+yyyy.MM.dd}"
    assert config["queue.disk"] == {"max_size": "1GiB"}
    (excluded, *_) = config["filebeat.inputs"][0]["prospector.scanner"]["exclude_files"]
    assert re.search(excluded, "/var/log/pods/dev-platform_log-store-es-data-0_uid/elasticsearch/0.log")
    assert not re.search(excluded, "/var/log/pods/dev-serving_digits_uid/main/0.log")


class Operator:
    """ECK's operator on a control plane with the objects of the program."""

    def __init__(self, plane: ControlPlane, program: Recording, log: Path) -> None:
        self.plane, self.program, self.log = plane, program, log

    def kubectl(self, *words: str, text: str | None = None) -> str:
        command = [str(tool("kubectl")), f"--kubeconfig={self.plane.kubeconfig}", *words]
        environment = {**variables(), "KUBECACHEDIR": str(self.log.parent / "cache")}
        answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def apply(self, *each: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(each)})
        self.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", text=text)

    def items(self, kind: str, namespace: str = "--all-namespaces") -> list[dict[str, Any]]:
        scope = namespace if namespace.startswith("--") else f"--namespace={namespace}"
        listed: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, scope, "-o", "json"))["items"]
        return listed

    def one(self, kind: str) -> dict[str, Any]:
        (single,) = self.items(kind)
        return single

    def names(self, kind: str) -> set[str]:
        return {each["metadata"]["name"] for each in self.items(kind)}

    def until(self, kind: str, wanted: set[str], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not wanted <= self.names(kind):
            assert time.monotonic() < deadline, (wanted - self.names(kind), self.log.read_text()[-3000:])
            time.sleep(1)


@pytest.fixture(scope="module")
def operator(program: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    binary, folder = tool("elastic-operator"), tmp_path_factory.mktemp("eck")
    definitions = view() / "manifests" / "eck" / "crds.yaml"
    if not definitions.is_file():
        pytest.skip("eck-manifests is not there: `python -m infra.local.toolchain --only eck-manifests`")
    with ExitStack() as cleanup:
        plane = cleanup.enter_context(simulated_cluster(folder))
        made = Operator(plane, program, folder / "operator.log")
        made.kubectl("apply", "--server-side", "-f", str(definitions))
        made.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "snapshot-keys", "namespace": NAMESPACE},
                  "stringData": {"s3.client.default.access_key": "x"}}  # fmt: skip
        made.kubectl("create", "namespace", "elastic-system")
        made.apply(space, secret, *_nodes())
        words = ["manager", "--enable-webhook=false", "--metrics-port=0", "--operator-namespace=elastic-system",
                 "--enable-leader-election=false", "--set-default-security-context=true", "--disable-telemetry",
                 "--disable-config-watch", "--elasticsearch-client-timeout=2s"]  # fmt: skip
        environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "HOME": str(folder), "POD_NAME": "operator"}
        for given in objects(program):
            made.apply(given)
        cleanup.enter_context(running([binary, *words], made.log, environment))
        yield made


def _nodes() -> list[dict[str, Any]]:
    room = {"cpu": "32", "memory": "128Gi", "pods": "100", "ephemeral-storage": "500Gi"}
    return [
        {"apiVersion": "v1", "kind": "Node", "status": {"capacity": room, "allocatable": room},
         "metadata": {"name": f"node-{number}", "annotations": {"kwok.x-k8s.io/node": "fake"}}}
        for number in (1, 2, 3)
    ]  # fmt: skip


@pytest.mark.tools
@pytest.mark.long
def test_the_operator_accepts_every_resource_and_makes_its_workloads(operator: Operator) -> None:
    operator.until("statefulsets", {"log-store-es-masters", "log-store-es-data", "log-pipeline-ls"})
    operator.until("deployments", {"log-view-kb"})
    operator.until("daemonsets", {"log-shipper-beat-filebeat"})
    operator.until("secrets", {"log-store-es-http-certs-public", "log-store-es-secure-settings"})
    operator.until("services", {"log-store-es-http", "log-view-kb-http", "log-pipeline-ls-syslog"})
    sizes = {each["metadata"]["name"]: each["spec"]["replicas"] for each in operator.items("statefulsets")}
    assert sizes == {"log-store-es-masters": 3, "log-store-es-data": 2, "log-pipeline-ls": 2}
    for kind in KINDS:
        resource = operator.one(kind)
        status = resource["status"]
        # Without images no node of Elasticsearch ever answers: it stays at that. The operator calls a spec that it
        # refuses invalid.
        assert status.get("phase", "ApplyingChanges") == "ApplyingChanges", status
        assert status["observedGeneration"] == resource["metadata"]["generation"]
        established = {value for key, value in status.items() if key.endswith(("ssociationStatus", "sociationsStatus"))
                       for value in (value.values() if isinstance(value, dict) else [value])}  # fmt: skip
        assert established <= {"Established"}, status
    # There is no scheduler, nor who makes volumes.
    warned = {each["reason"] for each in operator.items("events") if each["type"] != "Normal"
              and each["involvedObject"]["kind"] not in ("Pod", "PersistentVolumeClaim")}  # fmt: skip
    assert warned <= {"AssociationError"}, "this one before the store's Service is there"


@pytest.mark.tools
@pytest.mark.long
def test_the_operators_pods_are_restricted(operator: Operator) -> None:
    operator.until("statefulsets", {"log-store-es-masters", "log-store-es-data", "log-pipeline-ls"})
    operator.until("deployments", {"log-view-kb"})
    workloads = [each for kind in ("statefulsets", "deployments") for each in operator.items(kind, NAMESPACE)]
    assert len(workloads) == 4
    broken = {each["metadata"]["name"]: violations(each["spec"]["template"]["spec"]) for each in workloads}
    assert not any(broken.values()), broken


@pytest.mark.tools
@pytest.mark.long
def test_the_operator_hands_on_users_settings_and_configurations(operator: Operator) -> None:
    operator.until("secrets", {"log-store-es-xpack-file-realm", "log-shipper-beat-filebeat-config",
                               "log-pipeline-ls-pipeline", "log-store-es-secure-settings"})  # fmt: skip
    secrets = {each["metadata"]["name"]: each for each in operator.items("secrets")}

    def content(name: str, key: str) -> str:
        return base64.b64decode(secrets[name]["data"][key]).decode()

    users = content("log-store-es-xpack-file-realm", "users")
    assert f"auditor:{SENTINEL}-hash" in users and "\nelastic:" not in f"\n{users}"
    assert "reader-auditor" in content("log-store-es-xpack-file-realm", "roles.yml")
    assert content("log-store-es-secure-settings", "s3.client.default.access_key") == "x"
    shipped = yaml.safe_load(content("log-shipper-beat-filebeat-config", "beat.yml"))
    output = shipped["output"]["elasticsearch"]
    assert output["index"].startswith("logs-stellwerk%") and output["ssl"]["certificate_authorities"]
    (pipeline,) = yaml.safe_load(content("log-pipeline-ls-pipeline", "pipelines.yml"))
    assert pipeline["pipeline.id"] == "syslog" and "STORE_ES_HOSTS" in pipeline["config.string"]


@pytest.mark.tools
@pytest.mark.long
def test_what_the_operator_does_not_take_is_seen_as_that(operator: Operator) -> None:
    """The check above can fail: a store without a master is invalid."""
    (store,) = [each for each in objects(operator.program) if each["kind"] == "Elasticsearch"]
    wrong = {**store, "metadata": {"name": "wrong", "namespace": NAMESPACE},
             "spec": {**store["spec"], "nodeSets": store["spec"]["nodeSets"][1:]}}  # fmt: skip
    operator.apply(wrong)
    deadline = time.monotonic() + 600
    phase = None
    while phase != "Invalid" and time.monotonic() < deadline:
        stores = {each["metadata"]["name"]: each for each in operator.items("elasticsearches")}
        phase = stores["wrong"].get("status", {}).get("phase")
        time.sleep(1)
    operator.kubectl("delete", "elasticsearch", "wrong", "-n", NAMESPACE)
    assert phase == "Invalid"
