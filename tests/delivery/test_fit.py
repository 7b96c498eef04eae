"""Whether a plan fits: what of plan and cluster reaches the scheduler, and what is said of its answer."""

import json
from typing import Any

import pytest

from components.kit.names import CAPACITY, GPU, POOL_LABEL
from delivery.clients.plan import parse
from delivery.errors import DeliveryError
from delivery.operations.requests import needs, used
from delivery.operations.transcription import pod, reduced
from delivery.operations.workloads import Turn, planned
from tests.delivery.plan.recorded import EVENTS
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Command, FakeCluster
from tests.support.simulated import variables

Object = dict[str, Any]
TRAINING = "prod-training"
_KSERVE, _PATCH = "serving.kserve.io/v1beta1:InferenceService", "apps/v1:DeploymentPatch"
CLAIMED = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
ON_GPU = {"nodeSelector": {POOL_LABEL: "gpu-sim"}, "tolerations": [{"key": GPU, "operator": "Exists"}]}


def container(cpu: str = "1", **limits: str) -> Object:
    variable = {"name": "PASSWORD", "value": "hidden"}
    return {
        "name": "c", "image": "a:1", "env": [variable], "command": ["hidden"],
        "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": limits},
    }  # fmt: skip


def metadata(name: str, namespace: str = "prod-serving") -> Object:
    return {"name": name, "namespace": namespace, "annotations": {"a": "hidden"}}


def node(name: str, pool: str | None = None, **capacity: str) -> Object:
    labels = {"kubernetes.io/hostname": name, **({POOL_LABEL: pool} if pool else {})}
    sizes = {
        "cpu": "4",
        "memory": "8Gi",
        "pods": "110",
        **{key.replace("_", "/"): value for key, value in capacity.items()},
    }
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [TAINT] if pool else []}, "status": {"allocatable": sizes, "capacity": sizes},
    }  # fmt: skip


def running(
    name: str, on: str | None, cpu: str, owner: tuple[str, str] = ("ReplicaSet", "other"), **limits: str
) -> Object:
    spec = {"containers": [container(cpu, **limits)], **(ON_GPU if limits else {}), **({"nodeName": on} if on else {})}
    reference = {"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": owner[1], "controller": True}
    about = {**metadata(name), "ownerReferences": [reference], "labels": {"app": owner[1]}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec, "status": {"phase": "Running"}}


def replica_set(name: str, deployment: str) -> Object:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "uid": deployment, "controller": True}
    spec = {"selector": {"matchLabels": {"app": name}}}
    about = {**metadata(name), "ownerReferences": [owner]}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": about, "spec": spec}


def bound(claim: str, on: str) -> list[Object]:
    """Return a claim with its volume, which is on one node alone."""
    about, volume = metadata(claim), {"name": f"{claim}-volume"}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "local",
    }
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}]}
    place = {"required": {"nodeSelectorTerms": [term]}}
    made = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": "local"}
    made |= {"nodeAffinity": place, "claimRef": {**about, "uid": "1"}, "local": {"path": "/hidden"}}
    held = {**spec, "volumeName": volume["name"]}
    kind, status = "PersistentVolumeClaim", {"phase": "Bound"}
    return [
        {"apiVersion": "v1", "kind": kind, "metadata": about, "spec": held, "status": status},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": volume, "spec": made},
    ]


def event(op: str, kind: str, name: str, inputs: Object, paths: tuple[str, ...] = ("spec.template",)) -> str:
    """Return what the engine says of an object of this kind before it deals with it."""
    urn = f"urn:pulumi:prod::stellwerk::kubernetes:{kind}::{name}"
    state = {"type": f"kubernetes:{kind}", "urn": urn, "custom": True, "parent": ""}
    old = None if op == "create" else {**state, "id": f"prod-serving/{name}", "inputs": {}}
    new = None if op == "delete" else {**state, "id": "", "inputs": {"metadata": metadata(name), **inputs}}
    changed = {path: {} for path in paths} if op == "update" else None
    about = {"op": op, "urn": urn, "type": state["type"], "old": old, "new": new, "detailedDiff": changed}
    return json.dumps({"resourcePreEvent": {"metadata": about}})


def deployment(name: str, replicas: int, cpu: str, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container(cpu)], **spec.pop("pod", {})}}
    return {"spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **spec}}


def served(name: str) -> Object:
    model = {**container(**{GPU: "1"}), "modelFormat": {"name": "onnx"}}
    before = {**container("1"), "name": "storage-initializer"}
    return {"spec": {"predictor": {"model": model, "initContainers": [before], **ON_GPU}}}


@pytest.fixture
def placed(bench: Bench, pulumi: FakeEngine) -> FakeEngine:
    """The engine of a stack, on a machine that has the toolchain."""
    pulumi.known.add("prod")
    pulumi.variables["PATH"] = variables()["PATH"]
    return pulumi


@pytest.mark.tools
def test_a_plan_names_what_does_not_fit_and_why(placed: FakeEngine, cluster: FakeCluster, stellwerk: Command) -> None:
    quota = {"requests.cpu": "5", "pods": "20"}
    items = [
        node("node-1"), node("gpu-sim-0", "gpu-sim", **{GPU: "8"}),
        node("gpu-sim-1", "gpu-sim", **{GPU: "8"}),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod-serving"}},
        *(running(f"other-{each}", f"gpu-sim-{each}", "1", **{GPU: "7"}) for each in (0, 1)),
        replica_set("full-1", "full"), running("full-1-a", "node-1", "3", ("ReplicaSet", "full-1")),
        *bound("data", "node-1"), node("node-2", cpu="500m"),
        replica_set("first-1", "first"), running("first-1-a", "node-1", "500m", ("ReplicaSet", "first-1")),
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata("quota", TRAINING), "spec": {"hard": quota}},
    ]  # fmt: skip
    cluster.listed = lambda _: items
    job: Object = {"template": {"spec": {"containers": [container("6")], "restartPolicy": "Never"}}}
    first = deployment("first", 1, "1", strategy={"type": "Recreate"}, pod={"volumes": [CLAIMED]})
    train = {"metadata": metadata("train", TRAINING), "spec": {"jobTemplate": {"spec": job}}}
    placed.recorded = "\n".join(
        [
            event("create", _KSERVE, "digits", served("digits")),
            event("create", _PATCH, "digits-predictor", {"spec": {"replicas": 3}}),
            # Beside the old pod there is no room for a new one; without the old one there is.
            event("update", "apps/v1:Deployment", "full", deployment("full", 1, "3")),
            event("update", "apps/v1:Deployment", "first", first),
            event("create", "batch/v1:CronJob", "train", train),
        ]
    )  # fmt: skip
    code, out, err = stellwerk("plan", "prod")
    assert (code, err) == (0, "")
    about = [line for line in out.splitlines() if "fit" in line]
    free = "is free on a node"
    assert about == [
        "fits: 1 pod of Deployment first in prod-serving",
        "does not fit: InferenceService digits in prod-serving: 2 of 3 pods fit; nvidia.com/gpu: pool gpu-sim has 16, "
        f"14 are taken and 2 by its own pods; a pod asks for 1, at most 0 of it {free}",
        "does not fit: Deployment full in prod-serving: 0 of 1 pods fit; cpu: 2 nodes have 4.5, 1 are taken and 3 by "
        f"its own pods; a pod asks for 3, at most 0.5 of it {free}",
        "does not fit: CronJob train in prod-training: 0 of 1 pods fit; exceeded quota: quota, requested: "
        "requests.cpu=6, used: requests.cpu=0, limited: requests.cpu=5",
    ]
    assert list(placed.work.iterdir()) == [], "the control plane leaves files behind"


@pytest.mark.tools
def test_without_a_cluster_the_pools_of_the_plan_are_looked_at(
    placed: FakeEngine, cluster: FakeCluster, stellwerk: Command
) -> None:
    cluster.refused = DeliveryError("cluster of prod does not answer")
    capacity = {"cpu": "8", "memory": "16Gi", "pods": "110", GPU: "2"}
    about = {"name": "gpu-sim-0", "labels": {POOL_LABEL: "gpu-sim"}, "annotations": {CAPACITY: json.dumps(capacity)}}
    placed.recorded = "\n".join(
        [
            event("same", "core/v1:Node", "gpu-sim-0", {"metadata": about, "spec": {"taints": [TAINT]}}),
            event("same", _KSERVE, "digits", served("digits")),
            event("update", _PATCH, "digits-predictor", {"spec": {"replicas": 3}}, ("spec.replicas",)),
            event("create", "apps/v1:Deployment", "anywhere", deployment("anywhere", 1, "1")),
        ]
    )  # fmt: skip
    fit = json.loads(stellwerk("plan", "prod", "--json")[1])["fit"]
    assert [(each["name"], each["placed"], each["pods"]) for each in fit["placements"]] == [("digits", 2, 3)]
    assert fit["unseen"] == ["cluster of prod does not answer; the node pools of the values are all that is known"]


def test_where_no_pod_moves_nothing_is_asked(pulumi: FakeEngine, cluster: FakeCluster, stellwerk: Command) -> None:
    pulumi.known.add("prod")
    pulumi.recorded = "\n".join(
        [
            event("same", "apps/v1:Deployment", "same", deployment("same", 1, "1")),
            event("update", "apps/v1:Deployment", "label", deployment("label", 1, "1"), ("metadata.labels.a",)),
            event("create", "core/v1:ConfigMap", "settings", {"data": {}}),
        ]
    )
    assert json.loads(stellwerk("plan", "prod", "--json")[1])["fit"] is None
    assert cluster.asked == []


def test_a_machine_without_the_scheduler_says_that_it_has_not_looked(pulumi: FakeEngine, stellwerk: Command) -> None:
    pulumi.known.add("prod")
    pulumi.recorded = event("create", "apps/v1:Deployment", "new", deployment("new", 1, "1"))
    said = "fits is not known: etcd: not found; run `stellwerk doctor` to see how to get it"
    assert stellwerk("plan", "prod")[1].splitlines()[-1] == said


def test_of_twenty_changes_those_of_pods_are_placed() -> None:
    works = {each.owner.name: each for each in planned(parse(EVENTS.read_text())).workloads}
    moving = {name for name, each in works.items() if each.moves}
    assert {"image", "variable", "resources", "replicas", "selector", "stateful", "daemon", "digits"} <= moving
    assert "label" not in moving
    assert works["digits"].controller == ("Deployment", "default", "digits-predictor")
    assert works["stateful"].unavailable == 1
    assert [each.turn for each in works.values()].count(Turn.TRIAL) == 1


def test_a_pod_is_known_by_what_places_it_alone() -> None:
    spec = {
        "containers": [container()], "nodeName": "a", "volumes": [{"name": "s", "secret": {"secretName": "hidden"}}],
        "serviceAccountName": "hidden",
    }  # fmt: skip
    made = pod(metadata("p"), spec)
    assert made["spec"]["nodeName"] == "a"
    assert "hidden" not in json.dumps(made)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata("s"), "spec": {"selector": {"app": "p"}}}
    assert "hidden" not in json.dumps(reduced(service))


def test_what_runs_before_counts_where_it_is_more_and_beside_where_it_stays() -> None:
    one = {"resources": {"requests": {"cpu": "500m"}}}
    before, beside = {"resources": {"requests": {"cpu": "2"}}}, {**one, "restartPolicy": "Always"}
    assert needs({"containers": [one, one]})["cpu"] == 1
    assert needs({"containers": [one], "initContainers": [before]})["cpu"] == 2
    assert needs({"containers": [one], "initContainers": [beside, before]})["cpu"] == 2.5
    assert needs({"containers": [{"resources": {"limits": {GPU: "2"}}}]})[GPU] == 2
    assert used(["requests.cpu", "pods"], [{"containers": [one]}]) == {"requests.cpu": "500m", "pods": "1000m"}
