"""The nodes of an environment's pools as its values say them, where the cluster does not have them yet."""

from collections.abc import Iterable, Mapping
from typing import Any

from components.kit.names import GPU, POOL_LABEL
from infra.contract.environment import Environment
from infra.services.node_pools import Kind, NodePool, devices, largest_fleet, pools

Object = Mapping[str, Any]

# What of a node that the values do not describe cannot be the reason.
_PLENTY = {"cpu": "1M", "memory": "1Pi", "ephemeral-storage": "1Pi", "pods": "110"}


def of_cluster(items: Iterable[Object], environment: Environment) -> list[Object]:
    """Return a cluster's objects with what the values make of its nodes.

    Nodes of existing pools get their labels and taints, those whose devices are claimed get them as resources; an
    elastic pool gets the nodes that it may still have.
    """
    known = [*items]
    for pool in pools(environment):
        if pool.made_by is Kind.EXISTING and pool.owned and pool.select:
            known = [_joined(item, pool) if _is_one(item, pool.select.names) else item for item in known]
        known = [_known(item, pool) if item["kind"] == "Node" and is_of(item, pool) else item for item in known]
        if pool.elastic:
            taken = sum(1 for item in known if item["kind"] == "Node" and _pool(item) == pool.name)
            known += _fleet(pool)[taken:]
    return known


def of_values(environment: Environment, planned: Iterable[str | None]) -> list[Object]:
    """Return the nodes of all pools but those whose nodes are planned, as far as the values say what they have."""
    others = [pool for pool in pools(environment) if pool.name not in {*planned} and pool.made_by is not Kind.SIMULATED]
    return [node for pool in others for node in (_fleet(pool) if pool.elastic else _plain(pool))]


def _plain(pool: NodePool) -> list[Object]:
    sizes = {**_PLENTY, **{name: str(count) for name, count in devices(pool).items()}}
    return [_node(pool, index, sizes) for index in range(pool.count)]


def _fleet(pool: NodePool) -> list[Object]:
    return [
        _node(pool, index, {"ephemeral-storage": "1Pi", **machine.resources})
        for index, machine in enumerate(largest_fleet(pool))
    ]


def _node(pool: NodePool, index: int, sizes: Mapping[str, str]) -> Object:
    name = f"{pool.name}-planned-{index}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**pool.labels, **pool.node_labels, "kubernetes.io/hostname": name, POOL_LABEL: pool.name},
        },
        "spec": {"taints": _taints(pool)},
        "status": {"allocatable": sizes, "capacity": sizes},
    }


def _taints(pool: NodePool) -> list[dict[str, str]]:
    own = [{"key": GPU, "value": "present", "effect": "NoSchedule"}] if pool.gpus else []
    return [*own, *({"key": each.key, "value": each.value, "effect": str(each.effect)} for each in pool.taints)]


def _joined(item: Object, pool: NodePool) -> Object:
    metadata, spec = item["metadata"], item.get("spec") or {}
    labels = {**(metadata.get("labels") or {}), **pool.labels, POOL_LABEL: pool.name}
    keys = {taint["key"] for taint in _taints(pool)}
    kept = [taint for taint in spec.get("taints") or [] if taint["key"] not in keys]
    return {**item, "metadata": {**metadata, "labels": labels}, "spec": {**spec, "taints": [*kept, *_taints(pool)]}}


def is_of(node: Object, pool: NodePool) -> bool:
    """Return whether a node is one of a pool, by its labels."""
    wanted = pool.node_labels or {POOL_LABEL: pool.name}
    return wanted.items() <= (node["metadata"].get("labels") or {}).items()


def _known(node: Object, pool: NodePool) -> Object:
    """Return a pool's node with the pool's name, and with the devices that pods claim there as a resource."""
    metadata = {**node["metadata"], "labels": {**(node["metadata"].get("labels") or {}), POOL_LABEL: pool.name}}
    status, claimed = node.get("status") or {}, devices(pool) if pool.device_class else {}
    amounts = {name: str(count) for name, count in claimed.items()}
    sizes = {side: {**(status.get(side) or {}), **amounts} for side in ("capacity", "allocatable")}
    return {**node, "metadata": metadata, "status": {**status, **sizes}}


def _is_one(item: Object, names: Iterable[str]) -> bool:
    return item["kind"] == "Node" and item["metadata"]["name"] in names


def _pool(node: Object) -> str | None:
    return (node["metadata"].get("labels") or {}).get(POOL_LABEL)
