"""The nodes that a cluster has: how much they hold, which accelerators, and whether they are in the pools named."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from components.kit.names import GPU, POOL_LABEL
from delivery.clients.cluster_api import ClusterApi
from delivery.operations.device_claims import devices_of
from delivery.operations.pool_nodes import is_of
from delivery.operations.target_findings import Finding, Verdict
from infra.contract.environment import Environment
from infra.contract.quantities import cpu_text, milli_cores
from infra.services.node_pools import Kind, NodePool, devices, pools

_VENDOR = GPU.partition("/")[0] + "/"
# Pools whose nodes come when pods wait for them, and who makes them.
_LATER = {Kind.ELASTIC: "Karpenter makes them", Kind.CLOUD: "the cluster's node group makes them"}


def check(api: ClusterApi, environment: Environment) -> Iterator[Finding]:
    """Yield what was found of nodes, their accelerators, the pools of the values and the quota."""
    nodes = (api.read("/api/v1/nodes") or {}).get("items", [])
    if not nodes:
        yield Finding("nodes", Verdict.MISSING, "the cluster has none", "add some")
        return
    total = sum(milli_cores(_allocatable(node).get("cpu", "0")) for node in nodes)
    yield Finding("nodes", Verdict.OK, f"{len(nodes)}, with {cpu_text(total)} CPU cores")
    if milli_cores(environment.quota.cpu) > total:
        text = f"cpu: {environment.quota.cpu} for each namespace; all nodes together have {cpu_text(total)}"
        yield Finding("quota", Verdict.NOTE, text, "lower quota.cpu, or add nodes: what is above never runs")
    chosen = [pool for pool in pools(environment) if pool.select]
    yield _accelerators(nodes, {_name(node) for pool in chosen for node in _members(pool, nodes)})
    for pool in pools(environment):
        if pool.made_by is not Kind.SIMULATED:
            yield _pool(pool, nodes)
        if pool.device_class:
            yield _device_class(api, pool, [_name(node) for node in _members(pool, nodes)])


def _accelerators(nodes: list[Any], named: Collection[str]) -> Finding:
    counted = _counted(nodes)
    if not counted:
        return Finding("accelerators", Verdict.ABSENT, "no node offers any")
    offering = [node for node in nodes if _counted([node]) and not _labels(node).get(POOL_LABEL)]
    loose = [_name(node) for node in offering if _name(node) not in named]
    text = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    if not loose:
        return Finding("accelerators", Verdict.OK, text)
    fix = f"label {', '.join(loose)} with {POOL_LABEL}=<pool>, and name the pool in nodePools"
    return Finding("accelerators", Verdict.NOTE, f"{text}; in no pool: {', '.join(loose)}", fix)


def _pool(pool: NodePool, nodes: list[Any]) -> Finding:
    title, chosen = f"node pool {pool.name}", pool.select.names if pool.select else ()
    absent = sorted(set(chosen) - {_name(node) for node in nodes})
    if absent:
        fix = "name nodes of the cluster in select.names"
        return Finding(title, Verdict.MISSING, f"the cluster has no node {', '.join(absent)}", fix)
    members = _members(pool, nodes)
    if not members and pool.made_by in _LATER:
        return Finding(title, Verdict.OK, f"no node now; {_LATER[pool.made_by]}")
    if not members:
        wanted = ",".join(f"{key}={value}" for key, value in (pool.node_labels or {POOL_LABEL: pool.name}).items())
        fix = f"label its nodes: kubectl label node <node> {wanted.replace(',', ' ')}"
        return Finding(title, Verdict.MISSING, f"no node has the label {wanted}", fix)
    names = ", ".join(map(_name, members))
    counted = pool.gpus and not pool.device_class
    return _offered(pool, title, names, members) if counted else Finding(title, Verdict.OK, names)


def _members(pool: NodePool, nodes: list[Any]) -> list[Any]:
    """Return the nodes of a pool; those that the values name get its label when they are applied."""
    named = pool.select.names if pool.select else ()
    return [node for node in nodes if _name(node) in named or is_of(node, pool)]


def _device_class(api: ClusterApi, pool: NodePool, members: list[str]) -> Finding:
    """Return whether the class is there whose devices pods claim, and whether a driver offers any on the nodes."""
    title = f"device class {pool.device_class}"
    if api.read(f"/apis/resource.k8s.io/v1/deviceclasses/{pool.device_class}") is None:
        fix = "install its DRA driver, which Kubernetes 1.34 or newer takes, or remove the pool's deviceClass"
        return Finding(title, Verdict.MISSING, "the cluster does not know it", fix)
    count = devices_of((api.read("/apis/resource.k8s.io/v1/resourceslices") or {}).get("items", []), members)
    if members and not count:
        return Finding(title, Verdict.MISSING, f"no driver offers a device on {', '.join(members)}", "look at its pods")
    return Finding(title, Verdict.OK, f"drivers offer {count} devices on the nodes of the pool {pool.name}")


def _offered(pool: NodePool, title: str, names: str, members: list[Any]) -> Finding:
    """Return whether nodes offer the GPUs, or the shares of them, that the pool says."""
    counted = _counted(members)
    if not counted:
        fix = "install the vendor's device plugin, or the GPU operator"
        return Finding(title, Verdict.MISSING, f"{names}: offer no {_VENDOR}… resource", fix)
    text = f"{names}: " + ", ".join(f"{count} {resource}" for resource, count in sorted(counted.items()))
    lacking = [resource for resource in devices(pool) if resource not in counted]
    if not lacking:
        return Finding(title, Verdict.OK, text)
    wanted = f"{text}; the values say {', '.join(lacking)}"
    if pool.made_by is Kind.EXISTING and pool.owned and pool.sharing:
        fix = "the GPU operator divides them once the values are applied; pods that use them now must end before"
        return Finding(title, Verdict.NOTE, wanted, fix)
    return Finding(title, Verdict.BLOCKED, wanted, "say in the pool's sharing how its GPUs are divided")


def _counted(nodes: list[Any]) -> Mapping[str, int]:
    """Return how many accelerators, or slices of them, the nodes offer by resource name."""
    counted: Counter[str] = Counter()
    for node in nodes:
        counted.update({name: int(text) for name, text in _allocatable(node).items() if name.startswith(_VENDOR)})
    return {name: count for name, count in counted.items() if count}


def _allocatable(node: Any) -> dict[str, str]:
    allocatable: dict[str, str] = node.get("status", {}).get("allocatable", {})
    return allocatable


def _name(node: Any) -> str:
    return str(node["metadata"]["name"])


def _labels(node: Any) -> dict[str, str]:
    labels: dict[str, str] = node["metadata"].get("labels", {})
    return labels
