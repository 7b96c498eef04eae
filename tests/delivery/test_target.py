"""`doctor --target`: what a cluster lacks for an environment, by recorded answers and by a real API server."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from components.kit.names import POOL_LABEL
from delivery.clients.cluster_api import AskedCluster, Right
from delivery.clients.control_plane import control_plane
from delivery.clients.reachable import problem
from delivery.errors import DeliveryError
from delivery.operations.target import Look
from delivery.operations.target_findings import Finding
from delivery.operations.target_rights import needed
from infra.contract.environment import Environment
from infra.values import from_file
from tests.support.documents import whole_values, write_stacks
from tests.support.example_stacks import write_examples
from tests.support.models import copy_models
from tests.support.recorded import RecordedCluster
from tests.support.session import Bench, Command, FakeCluster
from tests.support.simulated import asked, variables

Made = Callable[..., Environment]
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
EXTERNAL = {
    "registry": {"mode": "external", "address": "registry.example.com/ml"},
    "objectStore": {"mode": "external", "endpoint": "https://s3.example.com", "bucket": "models"},
}


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Made]:
    """An environment of the tests' team with other values."""

    def make(base: str, **changed: Any) -> Environment:
        write_stacks(tmp_path)
        if not (tmp_path / "models").exists():
            copy_models(tmp_path)
        values = {**whole_values(base), **changed, "models": {}}
        document = {"config": {f"stellwerk:{key}": value for key, value in values.items()}}
        (tmp_path / "stacks" / f"Pulumi.{base}.yaml").write_text(yaml.safe_dump(document))
        return from_file(base, tmp_path).environment

    yield make
    shutil.rmtree(tmp_path)


def pool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "accelerator": "nvidia-h100-80gb", "gpus": 8, "nodes": 1, "kind": "external", **more}


def divided(name: str, **more: Any) -> dict[str, Any]:
    return pool(name, sharing={"mig": {"1g.10gb": 7}}, **more)


def looked(api: Any, environment: Environment, unreachable: str = "") -> dict[str, Finding]:
    findings = Look(api, environment, lambda url: "refused" if url == unreachable else "", lambda: NOW).findings()
    assert all(each.fix or not each.stops for each in findings), "a finding says nothing of what to do"
    return {each.name: each for each in findings}


def test_eks_as_it_comes_lacks_a_default_storage_class(environment: Made) -> None:
    values = environment("dev", **EXTERNAL, nodePools=[pool("gpu-sim")])
    findings = looked(RecordedCluster("eks"), values, unreachable="https://s3.example.com")
    assert {name: each.verdict for name, each in findings.items() if each.stops} == {
        "default storage class": "missing",
        "object store": "missing",
    }
    assert findings["default storage class"].detail == "classes: gp2"
    assert "refused" in findings["object store"].detail and "open the way" in findings["object store"].fix
    assert findings["KServe"].verdict == "ok" and "installs" in findings["KServe"].detail
    assert findings["node pool gpu-sim"].detail == "ip-10-0-2-40: 1 nvidia.com/gpu"
    assert findings["Karpenter"].verdict == "ok" and findings["ECK"].verdict == "absent"
    assert findings["load balancer"].detail == "gives addresses: ingress"
    assert "webhooks on pods" not in findings, "one that is ignored when it fails is in nobody's way"
    assert findings["clock"].detail == "3 s from this machine's"


def test_rke2_with_mig_by_its_findings(environment: Made) -> None:
    values = environment("test", **EXTERNAL, nodePools=[divided("mig"), pool("whole")])
    cluster = RecordedCluster("rke2-mig")
    for node in cluster.answers["/api/v1/nodes"]["items"][:1]:
        node["metadata"]["labels"][POOL_LABEL] = "mig"
    findings = looked(cluster, values)
    assert {name: each.verdict for name, each in findings.items() if each.stops} == {
        "Kubernetes": "too old",
        "KServe": "in the way",
        "default storage class": "in the way",
        "namespace test-serving": "in the way",
        "node pool whole": "missing",
        "clock": "in the way",
    }
    assert findings["KServe"].fix == "set kserve.version: 0.15.2"
    assert findings["node pool mig"].detail == "gpu-a: 56 nvidia.com/mig-1g.10gb"
    assert "label gpu-b with stellwerk.dev/node-pool" in findings["accelerators"].fix
    assert findings["KEDA"].verdict == "note" and "serves v1beta1, not v1alpha1" in findings["KEDA"].detail
    assert "kyverno" in findings["webhooks on pods"].detail
    assert findings["rights"].verdict == "ok", "what the owner alone makes is not asked for"


@pytest.mark.parametrize("name", ["eks", "rke2"])
def test_values_of_the_docs_pass_on_a_cluster_as_the_docs_describe_it(name: str, tmp_path: Path) -> None:
    loaded = from_file(name, write_examples(tmp_path))
    findings = looked(RecordedCluster(f"{name}-ready"), loaded.environment)
    assert {each.name: each.detail for each in findings.values() if each.stops} == {}
    pools = {each.verdict: each.detail for title, each in findings.items() if title.startswith("node pool")}
    nodes = "gpu-1, gpu-2, gpu-3, gpu-4: 32 nvidia.com/gpu; the values say nvidia.com/mig-1g.10gb"
    now = {"eks": {"ok": "no node now; the cluster's node group makes them"}, "rke2": {"note": nodes}}
    assert pools == now[name]


def test_values_of_the_docs_do_not_pass_on_another_cluster(tmp_path: Path) -> None:
    environment = from_file("rke2", write_examples(tmp_path)).environment
    findings = looked(RecordedCluster("eks-ready"), environment)
    assert {name for name, each in findings.items() if each.stops} == {
        "GPU operator",
        "storage class",
        "node pool h100-mig",
    }
    assert findings["GPU operator"].detail == "gpuOperator.mode needs clusterpolicies.nvidia.com v1"
    assert findings["storage class"].detail == "no longhorn; classes: gp2, gp3"


def test_an_elastic_pool_stops_where_karpenter_has_not_its_provider(environment: Made) -> None:
    made = {"provider": "kwok", "instanceTypes": [{"name": "small", "cpu": "4", "memory": "8Gi"}]}
    burst = {"name": "burst", "kind": "elastic", "nodes": 2, "elastic": made}
    findings = looked(RecordedCluster("eks"), environment("dev", **EXTERNAL, nodePools=[burst]))
    assert findings["Karpenter"].verdict == "ok" and findings["Karpenter on EC2"].verdict == "absent"
    assert findings["Karpenter by kwok"].verdict == "missing"
    assert findings["Karpenter by kwok"].fix.startswith("run `stellwerk cluster up`"), "the context is the local one"


def test_a_pool_whose_gpus_are_divided_otherwise_stops(environment: Made) -> None:
    cluster = RecordedCluster("rke2-ready")
    for node in cluster.answers["/api/v1/nodes"]["items"][:2]:
        node["metadata"]["labels"] = {POOL_LABEL: "cpus" if node["metadata"]["name"] == "cpu-1" else "mig"}
    cpus = {"name": "cpus", "kind": "external", "nodes": 1}
    findings = looked(cluster, environment("dev", **EXTERNAL, nodePools=[divided("mig"), cpus]))
    assert findings["node pool mig"].verdict == "in the way"
    assert findings["node pool cpus"].verdict == "ok", "a pool of CPUs needs no device"


def test_who_is_to_own_the_cluster_needs_more(environment: Made) -> None:
    findings = looked(RecordedCluster("rke2-mig"), environment("dev", **EXTERNAL))
    assert findings["KServe"].verdict == "in the way" and "cluster.shared: true" in findings["KServe"].fix
    assert findings["rights"].verdict == "missing"
    assert findings["rights"].detail == "create nodes; create customresourcedefinitions.apiextensions.k8s.io"


@pytest.mark.parametrize(
    ("image", "verdict"),
    [("kserve/c:v0.11.2", "too old"), ("kserve/c@sha256:00", "unknown"), ("kserve/c:v0.20.0@sha256:00", "ok")],
)
def test_kserve_of_somebody_else_s_by_its_image(environment: Made, image: str, verdict: str) -> None:
    cluster = RecordedCluster("rke2-mig")
    (path,) = [each for each in cluster.answers if "deployments" in each]
    cluster.answers[path]["items"][0]["spec"]["template"]["spec"]["containers"][0]["image"] = image
    values = environment("test", **EXTERNAL, kserve={"version": "0.20.0"})
    assert looked(cluster, values)["KServe"].verdict == verdict


def test_without_nodes_or_with_too_few_it_says_so(environment: Made) -> None:
    cluster = RecordedCluster("eks")
    values = environment("dev", **EXTERNAL, nodePools=[], quota={**whole_values("dev")["quota"], "cpu": "40"})
    assert looked(cluster, values)["quota"].verdict == "note"
    cluster.answers["/api/v1/nodes"]["items"] = []
    assert looked(cluster, values)["nodes"].verdict == "missing"


def test_what_may_not_be_read_is_unknown_and_stops_nothing_else(environment: Made) -> None:
    cluster = RecordedCluster("eks")
    read = cluster.read

    def refused(path: str) -> Any:
        if "storageclasses" in path:
            raise DeliveryError("storageclasses is forbidden")
        return read(path)

    cluster.read = refused  # type: ignore[method-assign]
    findings = looked(cluster, environment("dev", **EXTERNAL, nodePools=[]))
    assert (findings["storage"].verdict, findings["storage"].detail) == ("unknown", "storageclasses is forbidden")
    assert "clock" in findings


def test_rights_on_what_no_value_asks_for_are_not_needed(environment: Made) -> None:
    gpu = {
        "name": "gpu",
        "kind": "external",
        "accelerator": "h",
        "gpus": 8,
        "nodes": 1,
        "deviceClass": "gpu.nvidia.com",
    }
    keda = {"prometheus": "http://prometheus:9090", "query": 'sum(rate(n{s="{model}",n="{namespace}"}[1m]))'}
    groups = {"resource.k8s.io", "keda.sh"}
    plain = {right.group for right in needed(environment("test", **EXTERNAL, nodePools=[]))}
    more = {
        right.group for right in needed(environment("test", **EXTERNAL, nodePools=[gpu], autoscaler={"keda": keda}))
    }
    assert more - plain == groups
    with_names = [right for right in needed(environment("test", **EXTERNAL)) if right.resource == "namespaces"]
    assert {str(right) for right in with_names if right.verb == "delete"} == {"delete namespaces test-serving"}


def test_a_guest_whose_namespaces_nobody_has_made_must_make_them(environment: Made) -> None:
    cluster = RecordedCluster("rke2-ready")
    cluster.refused = ["create namespaces"]
    values = environment("test", **EXTERNAL, nodePools=[])
    assert looked(cluster, values)["rights"].detail == "create namespaces"
    cluster.answers["/api/v1/namespaces"]["items"].append({"metadata": {"name": "test-serving"}})
    assert looked(cluster, values)["rights"].verdict == "ok"


def test_a_class_of_devices_must_be_there_and_offer_some(environment: Made) -> None:
    cluster = RecordedCluster("rke2-ready")
    for node in cluster.answers["/api/v1/nodes"]["items"][:1]:
        node["metadata"]["labels"] = {"group": "gpus"}
        name = node["metadata"]["name"]
    by_label = {"kind": "existing", "select": {"labels": {"group": "gpus"}}, "deviceClass": "gpu.nvidia.com"}
    values = environment("dev", **EXTERNAL, nodePools=[pool("gpu", **by_label)])
    findings = looked(cluster, values)
    assert findings["node pool gpu"].detail == name
    assert findings["device class gpu.nvidia.com"].detail == "the cluster does not know it"
    cluster.answers["/apis/resource.k8s.io/v1/deviceclasses/gpu.nvidia.com"] = {"spec": {}}
    assert "no driver offers a device" in looked(cluster, values)["device class gpu.nvidia.com"].detail
    spec = {"driver": "gpu.nvidia.com", "nodeName": name, "pool": {"name": name}, "devices": [{"name": "gpu-0"}]}
    cluster.answers["/apis/resource.k8s.io/v1/resourceslices"] = {"items": [{"spec": spec}]}
    offered = looked(cluster, values)["device class gpu.nvidia.com"]
    assert (offered.verdict, offered.detail) == ("ok", "drivers offer 1 devices on the nodes of the pool gpu")


@pytest.mark.tools
def test_a_real_api_server_answers(environment: Made, tmp_path: Path) -> None:
    values = environment("dev", **EXTERNAL, nodePools=[divided("gpu")])
    with control_plane(variables(), tmp_path / "plane") as plane:
        api = AskedCluster(asked(plane))
        findings = {each.name: each for each in Look(api, values, lambda _: "").findings()}
        assert {name: each.verdict for name, each in findings.items() if each.stops} == {
            "default storage class": "missing",
            "nodes": "missing",
        }
        assert findings["Kubernetes"].detail.startswith("v1.") and findings["rights"].verdict == "ok"
        assert findings["clock"].verdict == "ok"
        about = {"name": "gpu-0", "labels": {POOL_LABEL: "gpu"}}
        status = {"allocatable": {"cpu": "4", "nvidia.com/mig-1g.10gb": "7"}, "capacity": {"cpu": "4"}}
        plane.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": about, "status": status})
        name = {"name": "own", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
        plane.create("/apis/storage.k8s.io/v1/storageclasses", {"metadata": name, "provisioner": "example.com/own"})
        findings = {each.name: each for each in Look(api, values, lambda _: "").findings()}
        assert not [each for each in findings.values() if each.stops]
        assert findings["node pool gpu"].detail == "gpu-0: 7 nvidia.com/mig-1g.10gb"
        assert api.denied([Right("create", "", "pods", "default")]) == []


def test_the_command_prints_what_keeps_it_and_ends_with_one(
    bench: Bench, cluster: FakeCluster, stellwerk: Command
) -> None:
    def listed(arguments: Sequence[str]) -> list[dict[str, Any]]:
        if "create" in arguments:
            raise DeliveryError("no rights")
        return []

    cluster.listed = listed
    code, out, err = stellwerk("doctor", "--target", "prod", "--json")
    assert out, err
    verdicts = {each["name"]: each["verdict"] for each in json.loads(out)["prod"]}
    assert (code, verdicts["KServe"], verdicts["nodes"]) == (1, "missing", "missing")
    code, out, _ = stellwerk("doctor", "--target", "prod")
    assert code == 1 and "apply the environment that owns the cluster" in " ".join(out.split())


def test_an_environment_without_the_option_is_refused(stellwerk: Command) -> None:
    code, _, err = stellwerk("doctor", "prod")
    assert code == 2 and "--target" in err


def test_an_address_answers_even_when_it_refuses() -> None:
    def transport(request: httpx.Request) -> httpx.Response:
        if request.url.host == "gone.example":
            raise httpx.ConnectError("no route to host", request=request)
        return httpx.Response(401)

    def client() -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(transport), trust_env=False)

    assert problem("https://registry.example/v2/", client()) == ""
    assert problem("https://gone.example", client()) == "no route to host"
