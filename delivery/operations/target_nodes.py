"""The nodes that a cluster has: how much they hold, which accelerators, and whether they are in the pools named."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from components.kit.names import GPU, POOL_LABEL
from delivery.clients.cluster_api import ClusterApi
from delivery.operations.target_findings import Finding, Verdict
from infra.contract.environment import Environment
from infra.contract.quantities import cpu_text, milli_cores
from infra.services.node_pools import pools

_VENDOR = GPU.partition("/")[0] + "/"


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
    yield _accelerators(nodes)
    for pool in pools(environment):
        if not pool.simulated:
            yield _pool(pool.name, [node for node in nodes if _labels(node).get(POOL_LABEL) == pool.name])


def _accelerators(nodes: list[Any]) -> Finding:
    counted = _counted(nodes)
    if not counted:
        return Finding("accelerators", Verdict.ABSENT, "no node offers any")
    loose = [
        node["metadata"]["name"] for node in nodes if _counted([node]) and not _labels(node).get(POOL_LABEL)
    ]  # fmt: skip
    text = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    if not loose:
        return Finding("accelerators", Verdict.OK, text)
    fix = f"label {', '.join(loose)} with {POOL_LABEL}=<pool>, and name the pool in nodePools"
    return Finding("accelerators", Verdict.NOTE, f"{text}; in no pool: {', '.join(loose)}", fix)


def _pool(name: str, nodes: list[Any]) -> Finding:
    title = f"node pool {name}"
    if not nodes:
        fix = f"label its nodes: kubectl label node <node> {POOL_LABEL}={name}"
        return Finding(title, Verdict.MISSING, f"no node has the label {POOL_LABEL}={name}", fix)
    counted = _counted(nodes)
    names = ", ".join(node["metadata"]["name"] for node in nodes)
    if not counted:
        fix = "install the vendor's device plugin, or the GPU operator"
        return Finding(title, Verdict.MISSING, f"{names}: offer no {_VENDOR}… resource", fix)
    text = ", ".join(f"{count} {resource}" for resource, count in sorted(counted.items()))
    return Finding(title, Verdict.OK, f"{names}: {text}")


def _counted(nodes: list[Any]) -> Mapping[str, int]:
    """Return how many accelerators, or slices of them, the nodes offer by resource name."""
    counted: Counter[str] = Counter()
    for node in nodes:
        counted.update({name: int(text) for name, text in _allocatable(node).items() if name.startswith(_VENDOR)})
    return {name: count for name, count in counted.items() if count}


def _allocatable(node: Any) -> dict[str, str]:
    allocatable: dict[str, str] = node.get("status", {}).get("allocatable", {})
    return allocatable


def _labels(node: Any) -> dict[str, str]:
    labels: dict[str, str] = node["metadata"].get("labels", {})
    return labels
