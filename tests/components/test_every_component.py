"""Every component of the package: declared, applied, changed and taken away on a real API server, and described.

One program has all that need no process of their own in the cluster; the real controllers and simulated nodes make
their pods. `ELSEWHERE` says which test does the same for each of the others.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.package import COMPONENTS
from components.reference import PAGE
from delivery.clients.control_plane import ControlPlane
from delivery.operations.authority import make_authority
from infra.local.toolchain.paths import manifests_folder
from tests.components.mocks import declared
from tests.program.harness import ROOT, SENTINEL, Recording, leaks
from tests.support.applied_components import Applied, applied
from tests.support.rendered_objects import simulated_node
from tests.support.simulated import simulated_cluster

# Resources of these need definitions or processes of others, which the test named here has: Karpenter's, NVIDIA's,
# ECK's operator, a company's gateway, a local cluster.
ELSEWHERE = {
    "EckStack": "tests/components/test_eck_stack.py",
    "ElasticPool": "tests/components/test_pools_applied.py",
    "ExistingNodes": "tests/components/test_pools_applied.py",
    "GatewayRoutes": "tests/program/test_strangers_cluster.py",
    "GpuOperator": "tests/components/test_pools_applied.py",
    "ImageBuild": "tests/integration/test_images.py",
    "InferenceService": "tests/integration/test_delivery.py",
    "RenewedLogin": "tests/components/test_renewed_login.py",
}
NAMESPACES = ("lab", "lab-serving", "lab-other", "lab-kserve")
HEAD = """
import json
import pulumi
from pathlib import Path
from components import package
from components.storage import object_store
known = {component.__name__: component for component in package.COMPONENTS}
secret = pulumi.Output.secret
keys = {name: {"access_key": secret(f"SENTINEL-{name}-access"), "secret_key": secret(f"SENTINEL-{name}-key")}
        for name in ("owner", "reader")}
tls = {"certificate": AUTHORITY, "key": secret("SENTINEL-tls")}
login = {"username": "reader", "password": secret("SENTINEL-login")}
store = {"bucket": "models", "endpoint": "https://store.example", "keys": keys["reader"], "trust_bundle": AUTHORITY}
users = {name: {"password": secret(f"SENTINEL-{name}"), "hash": secret(f"SENTINEL-{name}-hash")}
         for name in ("shipper", "reader")}
made = {}
limits = {"max_body_bytes": 1024, "in_flight": 1, "requests_per_second": 1}
"""


@dataclass(frozen=True)
class Life:
    """The arguments of a component as a program writes them, with `{}` for a value, and two such values."""

    arguments: str
    first: str
    second: str


LIVES = {
    "Gateway": Life(
        '"namespace": "lab", "image": "traefik:1", "tls": tls, "address": "198.18.0.1", "node_port": 31400,'
        '"replicas": {}, "limits": limits, "routes": [{{"name": "page", "path_prefix": "/p", "url": "http://p",'
        '"users": secret("SENTINEL-users")}}]',
        "1", "2",
    ),
    "ImageRegistry": Life(
        '"namespace": "lab", "image": "registry:1", "proxy_image": "traefik:1", "address": "198.18.0.1:31500",'
        '"tls": tls, "readers": secret("SENTINEL-readers"), "writers": secret("SENTINEL-{}"), "storage": "1Gi"',
        "one", "two",
    ),
    "IngressRoutes": Life(
        '"namespace": "lab-serving", "ingress_class": "nginx", "hostname": "{}.example.com", "tls": tls,'
        '"clients": ["edge"], "routes": [{{"name": "digits", "path_prefix": "/v2/models/digits",'
        '"services": {{"digits": 1}}}}]',
        "one", "two",
    ),
    "KServe": Life(
        '"namespace": "lab-kserve", "image": "kserve:1", "manifests": MANIFESTS, "runtime_image": "serving:{}",'
        '"tls": tls, "authority": AUTHORITY, "replicas": 1, "context": "none"',
        "1", "2",
    ),
    "LogKeeper": Life(
        '"namespace": "lab", "image": "python:1", "store": "https://logs:9200", "login": login, "days": {},'
        '"environments": {{"lab": 3}}',
        "7", "14",
    ),
    "LogShippers": Life(
        '"environment": "outside", "url": "https://logs:9200", "login": login, "data_stream": "logs-lab",'
        '"trust_bundle": AUTHORITY, "image": "log-shipper:1", "pod_logs_path": "/var/log/pods", "buffer": {}',
        "2 * 10**9", "3 * 10**9",
    ),
    "LogStack": Life(
        '"environment": "lab", "namespace": "lab", "image": "elasticsearch:1", "shipper_image": "log-shipper:1",'
        '"tls": tls, "trust_bundle": AUTHORITY, "users": users, "heap": "{}", "storage": "1Gi",'
        '"address": "198.18.0.1", "node_port": 31920, "pod_logs_path": "/var/log/pods"',
        "512m", "1g",
    ),
    "ModelRuntime": Life('"namespace": "lab-{}"', "serving", "other"),
    "NodePool": Life('"nodes": {}, "accelerator": "nvidia-h100", "gpus": 8', "1", "2"),
    "ObjectStore": Life(
        '"namespace": "lab", "image": "versitygw:1", "tool_image": "busybox:1", "buckets": ["models", "{}"],'
        '"owner": keys["owner"], "reader": keys["reader"], "tls": tls, "address": "198.18.0.1", "node_port": 31900,'
        '"storage": "1Gi"',
        "one", "two",
    ),
    "OwnershipPolicy": Life('"policy": "lab-{}"', "one", "two"),
    "PriorityClasses": Life('"values": {{"lab-high": {}}}, "patient": {{"lab-low": 1}}', "10", "20"),
    "PullSecret": Life('"namespace": "lab", "address": "registry:{}", "login": login', "5000", "5001"),
    "Tenant": Life(
        '"environment": "tenant", "namespaces": ["platform", "serving"], "developers": ["developers"],'
        '"quota": {{"cpu": "8", "memory": "16Gi", "pods": {}, "storage": "10Gi"}}',
        "10", "20",
    ),
    "TensorBoard": Life(
        '"namespace": "lab", "image": "tensorboard:1", "store": store, "clients": ["lab"], "path": "/{}"',
        "one", "two",
    ),
    "TrackingServer": Life(
        '"namespace": "lab", "image": "mlflow:{}", "database_image": "postgres:1", "storage": "1Gi", "store": store,'
        '"database_password": secret("SENTINEL-postgres"), "clients": ["lab"]',
        "1", "2",
    ),
    "TrainingPipeline": Life(
        '"namespace": "lab", "model": "digits", "image": "training:1", "revision": "0123456", "store": store,'
        '"tracking": {{"uri": "http://tracking"}}, "memory": "1Gi", "cpu": "{}"',
        "1", "2",
    ),
}  # fmt: skip


def head(authority: str) -> str:
    """What the program of all components begins with."""
    places = {"AUTHORITY": authority, "MANIFESTS": str(manifests_folder() / "kserve")}
    return "".join(f"{name} = {json.dumps(text)}\n" for name, text in places.items()) + HEAD.replace(
        "SENTINEL", SENTINEL
    )


def declaration(name: str, value: str) -> str:
    arguments = LIVES[name].arguments.format(value).replace("SENTINEL", SENTINEL)
    # Definitions are those of the component KServe.
    after = 'pulumi.ResourceOptions(depends_on=[made["KServe"]] if "KServe" in made else [])'
    opts = f", {after}" if name == "ModelRuntime" else ""
    return f'made["{name}"] = known["{name}"]("{name.lower()}", {{{arguments}}}{opts})\n'


def test_each_component_has_a_life_here_or_a_test_elsewhere() -> None:
    assert sorted([*LIVES, *ELSEWHERE]) == sorted(component.__name__ for component in COMPONENTS)
    assert [name for name, test in ELSEWHERE.items() if name.lower() not in (ROOT / test).read_text().lower()] == []


@pytest.mark.parametrize("name", sorted(component.__name__ for component in COMPONENTS))
def test_the_page_says_what_each_makes_needs_and_costs(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"\n## {name}\n" in text
    (row,) = [line for line in text.splitlines() if line.startswith(f"| [{name}](#{name.lower()}) |")]
    _, _, makes, needs, costs, _ = (cell.strip() for cell in row.split("|"))
    assert makes and needs and costs


@pytest.mark.parametrize("name", sorted(LIVES))
def test_what_it_declares_is_its_own_and_no_secret_stands_outside_one(name: str) -> None:
    def declare(value: str) -> Recording:
        program = head("authority") + declaration(name, value)
        return declared(lambda: exec(program, {}))  # noqa: S102 (this test's own text)

    first, second = declare(LIVES[name].first), declare(LIVES[name].second)
    (component,) = [key for key in first.inputs if key.startswith(f"stellwerk:index:{name}::")]
    children = [key for key, parent in first.parents.items() if parent == component]
    assert children and all(key.rpartition("::")[2].startswith(name.lower()) for key in children)
    assert list(leaks(first.inputs)) == []
    assert first.inputs != second.inputs, "the value of its life makes no difference"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A cluster of two simulated nodes, one of which counts as real, with volumes."""
    with simulated_cluster(tmp_path / "cluster") as made:
        for namespace in NAMESPACES:
            made.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for number in range(6):
            spec: Mapping[str, Any] = {
                "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": f"/nowhere/{number}"},
            }  # fmt: skip
            made.create("/api/v1/persistentvolumes", {"metadata": {"name": f"volume-{number}"}, "spec": spec})
        simulated_node(made, "node-1", "zone-1")
        yield made


def children(project: Applied) -> dict[str, dict[str, Any]]:
    """Inputs of what each component has made, as the state has them, by component and name of the resource."""
    resources = json.loads(project.run("stack", "export"))["deployment"].get("resources", [])
    made: dict[str, dict[str, Any]] = {}
    for each in resources:
        parent = str(each.get("parent", ""))
        # What a group of files makes belongs to the group, and that to the component.
        if parent.rpartition("::")[0].rpartition("$")[2].rpartition("::")[2].startswith("stellwerk:index:"):
            made.setdefault(parent.rpartition("::")[2], {})[each["urn"]] = each.get("inputs")
    return made


@pytest.mark.tools
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_all_are_applied_changed_left_alone_and_taken_away(plane: ControlPlane, tmp_path: Path) -> None:
    certificate, _ = make_authority("lab")
    start, project = head(certificate), applied(tmp_path, plane)
    project.up(start + "".join(declaration(name, life.first) for name, life in LIVES.items()))
    before = children(project)
    assert sorted(before) == sorted(name.lower() for name in LIVES)
    project.up(start + "".join(declaration(name, life.second) for name, life in LIVES.items()))
    after = children(project)
    assert [name for name in before if before[name] == after[name]] == [], "these were not changed"
    project.destroy()
    assert children(project) == {}
    left = {each["metadata"]["name"] for each in plane.read("/api/v1/namespaces/lab/services")["items"]}
    assert left == set()
