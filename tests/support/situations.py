"""Random sets of pools and workloads, and what a plan changes about them."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.kit.names import CAPACITY, GPU, POOL_LABEL
from components.kit.security import CONTAINER_MANIFEST, POD_MANIFEST
from delivery.clients.plan import Plan, Step

Object = dict[str, Any]

NAMESPACE = "placements"
# Nobody else's pods go to these nodes, and none of these anywhere else.
OWN = "placements.test/own"


@dataclass
class Situation:
    """Nodes and workloads that there are, and those that are planned: the latter replace those of the same name."""

    nodes: list[Object]
    more_nodes: list[Object]
    quota: Object | None
    before: list[Object]
    after: list[Object] = field(default_factory=list)

    def plan(self) -> Plan:
        """Return what the engine would say of the change."""
        known, changed = {name_of(item): item for item in self.before}, {name_of(item) for item in self.after}
        steps = [_step(node, None) for node in self.more_nodes]
        steps += [_step(item, item) for item in self.before if name_of(item) not in changed]
        steps += [_step(item, known.get(name_of(item))) for item in self.after]
        return Plan(tuple(steps), {})


def situation(seed: int) -> Situation:
    """Return the situation of a seed."""
    chance = random.Random(seed)  # noqa: S311
    pools = [_pool(chance, f"p{seed}-{letter}") for letter in "abc"[: chance.randint(1, 3)]]
    known = dict(map(_about, pools))
    more = _pool(chance, f"p{seed}-new") if chance.random() < 0.3 else []
    before = [_workload(chance, f"old-{index}", known) for index in range(chance.randint(0, 3))]
    if more:
        known |= dict([_about(more)])
    after = [changed for item in before if (changed := _changed(chance, item)) is not item]
    after += [_workload(chance, f"new-{index}", known) for index in range(chance.randint(1, 3))]
    quota = None
    if chance.random() < 0.3:
        hard = {"requests.cpu": str(chance.randint(6, 24)), "pods": str(chance.randint(6, 20))}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _metadata("quota"), "spec": {"hard": hard}}
    return Situation([node for pool in pools for node in pool], more, quota, before, after)


def _pool(chance: random.Random, name: str) -> list[Object]:
    gpus = chance.choice([0, 0, 4, 8])
    capacity = {"cpu": str(chance.choice([4, 8, 16])), "memory": f"{chance.choice([8, 16, 32])}Gi", "pods": "110"}
    capacity |= {GPU: str(gpus)} if gpus else {}
    taints = [{"key": OWN, "value": "true", "effect": "NoSchedule"}]
    taints += [{"key": GPU, "value": "present", "effect": "NoSchedule"}] if gpus else []
    return [node(f"{name}-{index}", name, capacity, taints) for index in range(chance.randint(1, 4))]


def _about(pool: list[Object]) -> tuple[str, int]:
    """Return the name of a pool, and how many GPUs a node of it has."""
    metadata = pool[0]["metadata"]
    return metadata["labels"][POOL_LABEL], int(json.loads(metadata["annotations"][CAPACITY]).get(GPU, 0))


def node(name: str, pool: str, capacity: Object, taints: list[Object]) -> Object:
    """Return a simulated node of a pool."""
    labels = {POOL_LABEL: pool, OWN: "true", "stellwerk.dev/simulated": "true", "kubernetes.io/hostname": name}
    annotations = {"kwok.x-k8s.io/node": "fake", CAPACITY: json.dumps(capacity)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"taints": taints},
    }


def _workload(chance: random.Random, name: str, pools: Mapping[str, int]) -> Object:
    kind = chance.choices(["Deployment", "StatefulSet", "DaemonSet"], [7, 2, 1])[0]
    spec: Object = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": _pod(chance, name, pools)},
    }
    if kind != "DaemonSet":
        spec["replicas"] = chance.randint(1, 4)
    if kind == "StatefulSet":
        spec |= {"serviceName": name, "podManagementPolicy": chance.choice(["Parallel", "OrderedReady"])}
    if kind == "Deployment":
        spec["strategy"] = chance.choice(
            [
                {"type": "Recreate"},
                {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            ]
        )
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": _metadata(name), "spec": spec}


def _pod(chance: random.Random, name: str, pools: Mapping[str, int]) -> Object:
    pool = chance.choice([None, *pools])
    tolerations = [{"key": OWN, "operator": "Exists"}]
    resources = _resources(chance)
    if pool and chance.random() < (0.9 if pools[pool] else 0.05):
        tolerations.append({"key": GPU, "operator": "Exists"})
        resources["limits"] |= {GPU: str(chance.choice([1, 1, 2]))}
    spec: Object = {
        "securityContext": POD_MANIFEST,
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {OWN: "true", **({POOL_LABEL: pool} if pool else {})},
        "tolerations": tolerations,
        "containers": [{"name": "c", "image": "none:1", "resources": resources, "securityContext": CONTAINER_MANIFEST}],
    }
    if chance.random() < 0.3:
        before = {
            "name": "i",
            "image": "none:1",
            "resources": _resources(chance),
            "securityContext": CONTAINER_MANIFEST,
        }
        spec["initContainers"] = [before]
    alike = {"matchLabels": {"app": name}}
    if chance.random() < 0.15:
        term = {"labelSelector": alike, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    elif chance.random() < 0.15:
        spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
        spec["topologySpreadConstraints"] = [{**spread, "labelSelector": alike}]
    return spec


def _resources(chance: random.Random) -> Object:
    memory = f"{chance.choice([256, 1024, 2048, 4096])}Mi"
    return {
        "requests": {"cpu": chance.choice(["100m", "250m", "500m", "1", "2"]), "memory": memory},
        "limits": {"memory": memory},
    }


def _changed(chance: random.Random, item: Object) -> Object:
    """Return a workload after the change: as it is, more or fewer, or with other pods."""
    kind, spec = chance.choice(["same", "scale", "restart", "restart"]), item["spec"]
    if kind == "scale" and "replicas" in spec:
        return {**item, "spec": {**spec, "replicas": chance.randint(1, 5)}}
    if kind != "restart":
        return item
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    kept = {key: value for key, value in container["resources"]["limits"].items() if key == GPU}
    resources = _resources(chance)
    resources["limits"] |= kept
    pods = {**pod, "containers": [{**container, "image": "none:2", "resources": resources}]}
    return {**item, "spec": {**spec, "template": {**spec["template"], "spec": pods}}}


def _step(item: Object, old: Object | None) -> Step:
    kind, name = item["kind"], item["metadata"]["name"]
    version = "core/v1" if item["apiVersion"] == "v1" else item["apiVersion"]
    paths = (
        () if old is None else tuple(f"spec.{key}" for key in item["spec"] if item["spec"][key] != old["spec"].get(key))
    )
    namespace = item["metadata"].get("namespace", "")
    op = "create" if old is None else "update" if paths else "same"
    return Step(
        f"urn:pulumi:x::x::kubernetes:{version}:{kind}::{name}", op, f"kubernetes:{version}:{kind}",
        f"{namespace}/{name}" if old else "", old is not None, "", (namespace, name), paths, inputs=item,
    )  # fmt: skip


def _metadata(name: str) -> Object:
    return {"name": name, "namespace": NAMESPACE}


def name_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return what tells an object of a situation from the others."""
    return item["kind"], item["metadata"]["name"]
