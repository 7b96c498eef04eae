"""Pools and the GPU Operator's policy, applied by the real engine to a real API server with the real definitions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.kit.names import CAPACITY, GPU, POOL_LABEL
from delivery.clients.control_plane import ControlPlane
from infra.local.toolchain.paths import manifests_folder
from tests.support.applied_components import Applied, applied
from tests.support.definitions import define
from tests.support.simulated import simulated_cluster
from tests.support.tools import eventually

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(1200)]

_HEAD = "import pulumi\nopts = pulumi.ResourceOptions()\n"
NODES = """
from components.cluster.existing_nodes import ExistingNodes
ExistingNodes("ours", {{"nodes": ["a", "b"], "gpus": {gpus}, "labels": {labels}, "taints": {taints}}})
"""
ELASTIC = """
from components.cluster.elastic_pool import ElasticPool, NodeProvider
ElasticPool("local", {{"provider": NodeProvider.KWOK, "instance_types": ["small", "big"], "nodes": {nodes}, "gpus": 8,
    "consolidate_after": "30s", "labels": {{"nvidia.com/gpu.product": "NVIDIA-L4"}}}})
ElasticPool("cloud", {{"provider": NodeProvider.EC2, "instance_types": ["p5.48xlarge"], "nodes": 2, "gpus": 8,
    "capacity_types": ["spot", "on-demand"], "zones": ["eu-central-1a"], "cpu_limit": "400", "memory_limit": "4Ti",
    "gpu_limit": 16, "moves_pods": True, "expire_after": "720h",
    "taints": [{{"key": "team", "value": "vision", "effect": "NoExecute"}}],
    "ec2": {{"role": "nodes", "ami_alias": "al2023@v20251101", "subnet_tags": {{"karpenter.sh/discovery": "main"}},
            "security_group_tags": {{"karpenter.sh/discovery": "main"}}}}}})
"""
OPERATOR = """
from components.cluster.gpu_operator import GpuOperator
GpuOperator("gpu-operator", {{"namespace": "gpu-operator", "release": {release},
    "mig": {mig}, "time_slicing": {{"t4": 4}}, "mps": {{"l40s": 3}}}})
"""
CLAIMS = """
from components.training.training_pipeline import TrainingPipeline
TrainingPipeline("train-shapes", {{
    "namespace": "default", "model": "shapes", "image": "registry.invalid/shapes@sha256:0", "revision": "0123456",
    "tracking": {{"uri": "http://tracking"}}, "cpu": "1", "memory": "1Gi", "node_pool": "gpu",
    "store": {{"bucket": "models", "keys": {{"access_key": "a", "secret_key": "b"}}}},
    "device_claim": {{"device_class": "gpu.nvidia.com", "count": {count}}},
}})
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with simulated_cluster(tmp_path_factory.mktemp("plane")) as started:
        for folder in ("karpenter/crds", "karpenter/kwok", "karpenter-aws/crds", "gpu-operator/crds"):
            define(started, folder)
        yield started


@pytest.fixture
def project(plane: ControlPlane, tmp_path: Path) -> Iterator[Applied]:
    made = applied(tmp_path, plane)
    yield made
    made.destroy()


# Before the project, which is taken away first: what is taken off a node that is gone would make it again.
@pytest.fixture
def nodes(plane: ControlPlane) -> Iterator[None]:
    for name in ("a", "b"):
        spec = {"taints": [{"key": "theirs", "effect": "NoSchedule"}]} if name == "b" else {}
        labels = {"theirs": "yes"}
        plane.create("/api/v1/nodes", {"kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec})
    yield
    for name in ("a", "b"):
        plane.delete(f"/api/v1/nodes/{name}")


def test_labels_and_taints_of_nodes_come_change_and_go(plane: ControlPlane, nodes: None, project: Applied) -> None:
    project.up(_HEAD + NODES.format(gpus=0, labels={"nvidia.com/mig.config": "ours"}, taints=[]))
    for name in ("a", "b"):
        labels = plane.read(f"/api/v1/nodes/{name}")["metadata"]["labels"]
        assert labels == {"theirs": "yes", POOL_LABEL: "ours", "nvidia.com/mig.config": "ours"}
    project.up(_HEAD + NODES.format(gpus=0, labels={"disk": "ssd"}, taints=[]))
    assert plane.read("/api/v1/nodes/a")["metadata"]["labels"] == {"theirs": "yes", POOL_LABEL: "ours", "disk": "ssd"}
    project.destroy()
    assert plane.read("/api/v1/nodes/a")["metadata"]["labels"] == {"theirs": "yes"}


def test_taints_that_somebody_else_has_set_are_not_taken_over(
    plane: ControlPlane, nodes: None, project: Applied
) -> None:
    said = project.refused(_HEAD + NODES.format(gpus=8, labels={}, taints=[]))
    assert "conflict" in said and ".spec.taints" in said
    given = {"key": GPU, "value": "present", "effect": "NoSchedule"}
    assert given in plane.read("/api/v1/nodes/a")["spec"]["taints"]
    assert plane.read("/api/v1/nodes/b")["spec"]["taints"] == [{"key": "theirs", "effect": "NoSchedule"}]


def test_karpenter_s_definitions_take_elastic_pools(plane: ControlPlane, project: Applied) -> None:
    project.up(_HEAD + ELASTIC.format(nodes=3))
    local = plane.read("/apis/karpenter.sh/v1/nodepools/local")["spec"]
    assert local["limits"] == {"nodes": "3", GPU: "24"}
    assert local["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert local["template"]["metadata"]["labels"][POOL_LABEL] == "local"
    assert local["template"]["spec"]["taints"] == [{"key": GPU, "value": "present", "effect": "NoSchedule"}]
    cloud = plane.read("/apis/karpenter.sh/v1/nodepools/cloud")["spec"]
    assert cloud["limits"] == {"nodes": "2", "cpu": "400", "memory": "4Ti", GPU: "16"}
    assert plane.read("/apis/karpenter.k8s.aws/v1/ec2nodeclasses/cloud")["spec"]["role"] == "nodes"
    project.up(_HEAD + ELASTIC.format(nodes=5))
    assert plane.read("/apis/karpenter.sh/v1/nodepools/local")["spec"]["limits"] == {"nodes": "5", GPU: "40"}


def test_a_template_of_claims_is_followed_by_another_one(plane: ControlPlane, project: Applied) -> None:
    templates = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates"
    cron = "/apis/batch/v1/namespaces/default/cronjobs/train-shapes"
    for count in (1, 2):
        project.up(_HEAD + CLAIMS.format(count=count))
        (made,) = plane.read(templates)["items"]
        (asked,) = made["spec"]["spec"]["devices"]["requests"]
        assert (asked["exactly"]["count"], asked["exactly"]["deviceClassName"]) == (count, "gpu.nvidia.com")
        pod = plane.read(cron)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (claim,) = pod["resourceClaims"]
        assert claim["resourceClaimTemplateName"] == made["metadata"]["name"]
    project.destroy()
    assert plane.read(templates)["items"] == []


def configured(plane: ControlPlane) -> Any:
    place = "/api/v1/namespaces/gpu-operator/configmaps"
    layouts = json.loads(plane.read(f"{place}/stellwerk-mig")["data"]["config.yaml"])["mig-configs"]
    plugin = {name: json.loads(text) for name, text in plane.read(f"{place}/stellwerk-device-plugin")["data"].items()}
    return layouts, plugin


def test_an_operator_s_own_policy_gets_how_gpus_are_shared_and_nothing_else(
    plane: ControlPlane, project: Applied
) -> None:
    policies = "/apis/nvidia.com/v1/clusterpolicies"
    enabled = {"enabled": True}
    own = {
        "operator": {"defaultRuntime": "containerd"}, "mig": {"strategy": "single"}, "driver": {"enabled": False},
        **{part: enabled for part in ("daemonsets", "dcgm", "dcgmExporter", "gfd", "nodeStatusExporter", "toolkit")},
        "devicePlugin": {"enabled": True, "config": {"name": "", "default": ""}}, "migManager": {"enabled": True},
    }  # fmt: skip
    own["daemonsets"] = {}
    about = {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": {"name": "cluster-policy"}}
    plane.create(policies, {**about, "spec": own})
    plane.create("/api/v1/namespaces", {"metadata": {"name": "gpu-operator"}})
    project.up(_HEAD + OPERATOR.format(mig={"h100": {"1g.10gb": 7}}, release=None))
    spec = plane.read(f"{policies}/cluster-policy")["spec"]
    assert spec["mig"] == {"strategy": "mixed"}
    assert spec["devicePlugin"] == {"enabled": True, "config": {"name": "stellwerk-device-plugin", "default": "whole"}}
    assert spec["migManager"]["config"] == {"name": "stellwerk-mig", "default": "all-disabled"}
    assert spec["driver"]["enabled"] is False
    layouts, plugin = configured(plane)
    assert layouts["h100"] == [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": 7}}]
    assert plugin["t4"]["sharing"]["timeSlicing"]["resources"] == [{"name": GPU, "replicas": 4}]
    assert plugin["l40s"]["sharing"] == {"mps": {"resources": [{"name": GPU, "replicas": 3}]}}
    assert plugin["whole"] == {"version": "v1", "flags": {"migStrategy": "mixed"}}
    project.up(_HEAD + OPERATOR.format(mig={"h100": {"3g.40gb": 2}}, release=None))
    assert configured(plane)[0]["h100"][0]["mig-devices"] == {"3g.40gb": 2}
    project.destroy()
    assert plane.read(f"{policies}/cluster-policy")["spec"]["mig"] == {"strategy": "mixed"}
    assert configured(plane)[0]["h100"][0]["mig-devices"] == {"3g.40gb": 2}
    plane.delete(f"{policies}/cluster-policy")
    plane.delete("/api/v1/namespaces/gpu-operator")
    eventually(lambda: "gpu-operator" not in namespaces(plane), Path("/dev/null"))


def namespaces(plane: ControlPlane) -> set[str]:
    return {each["metadata"]["name"] for each in plane.read("/api/v1/namespaces")["items"]}


@pytest.fixture
def any_node(plane: ControlPlane) -> Iterator[None]:
    """A simulated node: Jobs of the chart's hooks end there."""
    capacity = json.dumps({"cpu": "8", "memory": "16Gi", "pods": "110"})
    annotations = {"kwok.x-k8s.io/node": "fake", CAPACITY: capacity}
    plane.create("/api/v1/nodes", {"kind": "Node", "metadata": {"name": "any", "annotations": annotations}})
    yield
    plane.delete("/api/v1/nodes/any")


def test_the_operator_s_chart_makes_a_policy_that_its_definition_takes(
    plane: ControlPlane, any_node: None, project: Applied
) -> None:
    chart = manifests_folder() / "gpu-operator" / "chart"
    release = {"chart": str(chart), "awaits": False, "driver": False, "toolkit": True}
    project.up(_HEAD + OPERATOR.format(mig={"h100": {"1g.10gb": 7}}, release=release))
    spec = plane.read("/apis/nvidia.com/v1/clusterpolicies/cluster-policy")["spec"]
    assert (spec["driver"]["enabled"], spec["toolkit"]["enabled"]) == (False, True)
    assert spec["mig"] == {"strategy": "mixed"}
    assert spec["devicePlugin"]["config"] == {"name": "stellwerk-device-plugin", "default": "whole"}
    assert spec["migManager"]["config"] == {"name": "stellwerk-mig", "default": "all-disabled"}
    assert configured(plane)[0].keys() == {"all-disabled", "h100"}
    labels = plane.read("/api/v1/namespaces/gpu-operator")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    plane.read("/apis/apps/v1/namespaces/gpu-operator/deployments/gpu-operator")
    project.destroy()
    assert plane.read("/apis/nvidia.com/v1/clusterpolicies")["items"] == []
