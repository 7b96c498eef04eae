"""What LogStack registers: where secrets stand, what the shipper may do, and how documents look."""

import hashlib
import json
import re
from typing import Any

import pulumi
import pytest

from components.kit import names, ports
from components.logging.arguments import LogStackArgs
from components.logging.log_shipper import embedded_target, events_config, shipper_config
from components.logging.log_stack import LogStack
from tests.components.mocks import declared
from tests.program.harness import ROOT, SECRET, SENTINEL, SIGNATURE, Recording, leaks

NODE_PORT = 32000
TARGET = embedded_target("dev-platform")
USERS = ("elastic", "reader", "shipper")
DEPLOYMENT = "kubernetes:apps/v1:Deployment::logs-store"
EVENTS = "kubernetes:apps/v1:Deployment::logs-events"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet::logs-shipper"


def arguments(heap: str = "512m", users: tuple[str, ...] = USERS) -> LogStackArgs:
    marked = {user: {"password": f"{SENTINEL}-{user}$", "hash": f"{SENTINEL}-{user}-hash"} for user in users}
    return {
        "environment": "dev",
        "namespace": "dev-platform",
        "image": "registry/elasticsearch@sha256:" + "ab" * 32,
        "shipper_image": "registry/log-shipper:1",
        "pull_secret": "pull",
        "tls": {"certificate": "certificate", "key": pulumi.Output.secret(f"{SENTINEL}-tls")},
        "trust_bundle": "authority",
        "users": {
            user: {"password": pulumi.Output.secret(keys["password"]), "hash": pulumi.Output.secret(keys["hash"])}
            for user, keys in marked.items()
        },
        "heap": heap,
        "storage": "5Gi",
        "address": "198.18.0.1",
        "node_port": NODE_PORT,
        "pod_logs_path": "/srv/cluster/pod-logs/",
    }


def registered(urls: list[str] | None = None, **changes: Any) -> Recording:
    """What the component registers, as the engine would see it; its URL goes to `urls`."""
    return declared(lambda: LogStack("logs", arguments(**changes)).url.apply(([] if urls is None else urls).append))


@pytest.fixture(scope="module")
def inputs() -> dict[str, Any]:
    return registered().inputs


def pod(inputs: dict[str, Any], key: str) -> Any:
    return inputs[key]["spec"]["template"]["spec"]


def data(inputs: dict[str, Any], name: str) -> Any:
    """The contents of a Secret or ConfigMap, secret or not."""
    kind = "Secret" if name.endswith("secret") else "ConfigMap"
    contents = inputs[f"kubernetes:core/v1:{kind}::{name}"]["stringData" if kind == "Secret" else "data"]
    contents = contents["value"] if contents.get(SIGNATURE) == SECRET else contents
    return {key: text["value"] if isinstance(text, dict) else text for key, text in contents.items()}


def test_no_secret_value_stands_outside_a_secret(inputs: dict[str, Any]) -> None:
    assert [*leaks(inputs)] == []
    assert SENTINEL not in json.dumps([shipper_config(TARGET), events_config(TARGET)])


def test_the_file_realm_has_each_user_with_its_role_and_no_password(inputs: dict[str, Any]) -> None:
    files = data(inputs, "logs-store-secret")
    assert files["users"] == "".join(f"{user}:{SENTINEL}-{user}-hash\n" for user in USERS)
    assert files["users_roles"] == "superuser:elastic\nreader:reader\nshipper:shipper\n"
    assert "$" not in files["users"]


def test_the_shipper_may_create_and_the_reader_may_read(inputs: dict[str, Any]) -> None:
    lines = data(inputs, "logs-store-secret")["roles.yml"].splitlines()
    roles = {role: json.loads(rights) for role, rights in (line.split(": ", 1) for line in lines)}
    assert roles == {
        "shipper": {"indices": [{"names": ["logs-*"], "privileges": ["create_doc", "auto_configure"]}]},
        "reader": {"indices": [{"names": ["logs-*"], "privileges": ["read"]}]},
    }


def test_the_shipper_is_root_without_capabilities_on_real_nodes(inputs: dict[str, Any]) -> None:
    spec = pod(inputs, DAEMON_SET)
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert (spec["securityContext"]["runAsUser"], security["capabilities"]) == (0, {"drop": ["ALL"]})
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"] and "hostNetwork" not in spec
    assert spec["tolerations"] == [{"operator": "Exists"}], "tainted nodes have logs as well"
    affinity = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity["nodeSelectorTerms"] == [
        {"matchExpressions": [{"key": "stellwerk.dev/simulated", "operator": "DoesNotExist"}]}
    ]


def test_the_shipper_reads_the_logs_and_writes_beside_them(inputs: dict[str, Any]) -> None:
    spec = pod(inputs, DAEMON_SET)
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
    assert paths == {"pod-logs": "/srv/cluster/pod-logs/", "positions": "/srv/cluster/log-shipper"}
    writable = [mount["name"] for mount in spec["containers"][0]["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["positions"]


def test_only_the_shippers_namespace_allows_host_paths(inputs: dict[str, Any]) -> None:
    namespaces = [value for key, value in inputs.items() if key.startswith("kubernetes:core/v1:Namespace::")]
    assert [namespace["metadata"]["name"] for namespace in namespaces] == ["dev-logging"]
    assert namespaces[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert inputs[DAEMON_SET]["metadata"]["namespace"] == "dev-logging"
    store = pod(inputs, DEPLOYMENT)
    assert store["securityContext"]["runAsNonRoot"] and not any("hostPath" in volume for volume in store["volumes"])


def test_the_shipper_trusts_the_authority_and_leaves_the_stores_lines_out(inputs: dict[str, Any]) -> None:
    config = json.loads(data(inputs, "logs-shipper-config")["config.yaml"])
    exporter, receiver = config["exporters"]["elasticsearch"], config["receivers"]["podlogs"]
    assert exporter["endpoints"] == [f"https://log-store.dev-platform.svc.cluster.local:{ports.LOG_STORE}"]
    assert (exporter["tls"]["ca_file"], exporter["password"]) == ("/secret/ca.crt", "${file:/secret/password}")
    assert "/var/log/pods/dev-platform_log-store-*/*/*" in receiver["exclude"]
    assert not any("dev-logging" in path for path in receiver["exclude"]), "its own errors are in the store, too"
    assert data(inputs, "logs-shipper-secret")["password"] == f"{SENTINEL}-shipper$$"


def test_the_index_has_exact_fields_and_a_name_that_readers_find(inputs: dict[str, Any]) -> None:
    state = json.loads(data(inputs, "logs-store-config")["state.json"])
    templates = state["index_templates"]
    template = templates["composable_index_templates"][names.LOG_INDEX]
    assert template["index_patterns"] == ["logs-stellwerk", "logs-stellwerk-*"]
    assert template["composed_of"] == ["stellwerk-ecs", "stellwerk-lines"]
    mappings = templates["component_templates"]["stellwerk-ecs"]["template"]["mappings"]
    assert re.fullmatch(names.LOG_INDEX_PATTERN.replace("*", ".*"), names.LOG_INDEX)
    (exact,) = mappings["dynamic_templates"]
    assert exact["exact"]["mapping"]["type"] == "keyword"
    # A line with a thousand fields takes none of these from the others.
    fields = mappings["properties"]
    asked = {names.MODEL_FIELD, names.REQUEST_FIELD, names.ENVIRONMENT_FIELD, names.POD_FIELD, "log.level", "tags"}
    assert {fields[field]["type"] for field in asked} == {"keyword"}
    for config in (shipper_config(TARGET), events_config(TARGET)):
        exporter = config["exporters"]["elasticsearch"]
        assert "logs_index" not in exporter and exporter["logs_dynamic_id"] == {"enabled": True}
        assert exporter["middlewares"] == [{"id": "refused"}] and "refused" in config["service"]["extensions"]


@pytest.mark.parametrize(
    ("namespace", "environment"),
    [
        ("test-serving", "test"),
        ("dev-logging", "dev"),
        ("prod-eu-1-platform", "prod-eu-1"),
        ("kube-system", None),
        ("prod-shop", None),
        ("serving", None),
    ],
)
def test_the_environment_is_the_namespaces(namespace: str, environment: str | None) -> None:
    for config, kind in ((shipper_config, "podlogs"), (events_config, "events")):
        match = re.search(config(TARGET)["receivers"][kind]["environment"], namespace)
        assert (match and match[1]) == environment


def test_the_event_shipper_is_restricted_and_may_read_events_only(inputs: dict[str, Any]) -> None:
    spec = pod(inputs, EVENTS)
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] and security["capabilities"] == {"drop": ["ALL"]}
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert not any("hostPath" in volume for volume in spec["volumes"])
    assert spec["serviceAccountName"] == "event-shipper" and spec["automountServiceAccountToken"]
    (role,) = [value for key, value in inputs.items() if key.startswith("kubernetes:rbac.authorization.k8s.io/v1:Cl")
               and "rules" in value]  # fmt: skip
    assert role["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]}]


@pytest.mark.parametrize(("heap", "memory"), [("512m", "1280Mi"), ("2g", "3584Mi")])
def test_memory_follows_the_heap(heap: str, memory: str) -> None:
    (container,) = pod(registered(heap=heap).inputs, DEPLOYMENT)["containers"]
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"] == memory
    assert {"name": "HEAP", "value": heap} in container["env"]


def test_another_configuration_rolls_the_pods(inputs: dict[str, Any]) -> None:
    """Pods carry the digest of what they read at their start."""
    store = json.dumps(data(inputs, "logs-store-config"), sort_keys=True)
    shipper, events = (data(inputs, f"logs-{name}-config")["config.yaml"] for name in ("shipper", "events"))
    for key, text in ((DEPLOYMENT, store), (DAEMON_SET, shipper), (EVENTS, events)):
        annotations = inputs[key]["spec"]["template"]["metadata"]["annotations"]
        assert annotations["stellwerk.dev/configuration"] == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_images_configuration_has_the_ports_of_the_component() -> None:
    settings = (ROOT / "components/logging/images/elasticsearch/config/elasticsearch.yml").read_text()
    assert f"\nhttp.port: {ports.LOG_STORE}\n" in settings
    assert f"\nreadiness.port: {ports.LOG_STORE_READY}\n" in settings


def test_the_url_is_the_node_port_of_the_service() -> None:
    urls: list[str] = []
    service = registered(urls).inputs["kubernetes:core/v1:Service::logs-store-service"]
    assert urls == [f"https://198.18.0.1:{NODE_PORT}"]
    assert (service["spec"]["type"], service["spec"]["ports"][0]["nodePort"]) == ("NodePort", NODE_PORT)


@pytest.mark.parametrize("users", [("reader",), ("shipper", "writer")])
def test_users_without_a_role_or_without_the_shipper_are_refused(users: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"allowed shipper \(needed\), reader, keeper, application, elastic"):
        registered(users=users)


def test_what_ships_its_own_lines_writes_into_its_environment_alone() -> None:
    inputs = registered(users=(*USERS, "application")).inputs
    lines = data(inputs, "logs-store-secret")["roles.yml"].splitlines()
    roles = {role: json.loads(rights) for role, rights in (line.split(": ", 1) for line in lines)}
    assert roles["application"] == {
        "indices": [{"names": ["logs-stellwerk-dev-????.??.??"], "privileges": ["create_doc", "auto_configure"]}]
    }
