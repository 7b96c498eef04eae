"""What is placed on the pools: whether a pool has what is asked of it, and enough of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from components.kit.names import GPU
from infra.composition.handover import Place
from infra.composition.service import Placement, Stack
from infra.contract.environment import Environment
from infra.contract.problems import KeyPath, Problem, show, suggest
from infra.services.node_pools.devices import CLAIMED, devices, requested, resource, shown
from infra.services.node_pools.section import NodePool, pools

if TYPE_CHECKING:
    from components.kit.device_claims import DeviceClaimArgs


def place(environment: Environment, name: str | None, gpu: int | str | None) -> Place | None:
    """Return what pods on a pool need, None for those that run anywhere; a rule knows that the pool is there."""
    known = {pool.name: pool for pool in pools(environment)}
    if name is None:
        return None
    pool = known[name]
    keys = [GPU] if pool.gpus else []
    taints = dict.fromkeys([*keys, *(taint.key for taint in pool.taints)])
    asked = requested(pool, gpu)
    counted = {resource: amount for resource, amount in asked.items() if not resource.startswith(CLAIMED)}
    claim: DeviceClaimArgs | None = None
    if pool.device_class and asked.keys() - counted.keys():
        claim = {"device_class": pool.device_class, "count": int(*asked.values())}
    return Place(name, tuple(taints), counted, pool.node_labels or None, claim)


def rules(stack: Stack) -> Iterator[Problem]:
    """Yield each placement that no pool can have, and each pool that is too small for all of them."""
    known = {pool.name: pool for pool in pools(stack.environment)}
    asked: dict[str, Counter[str]] = {}
    surge: dict[str, Counter[str]] = {}
    for placement in stack.placements():
        wrong = list(_placement(placement, known))
        yield from wrong
        if placement.pool is not None and placement.pods and not wrong:
            for name, amount in requested(known[placement.pool], placement.gpu).items():
                asked.setdefault(placement.pool, Counter())[name] += int(amount) * placement.pods
                # A rolling update starts one pod before it ends another.
                most = surge.setdefault(placement.pool, Counter())
                most[name] = max(most[name], int(amount))
    yield from _too_small(stack.environment, {pool: asked[pool] + surge[pool] for pool in asked})


def _placement(placement: Placement, known: Mapping[str, NodePool]) -> Iterator[Problem]:
    gpu_path = (*placement.path[:-1], "gpu")
    if placement.pool is None:
        if placement.gpu is not None:
            yield Problem(
                gpu_path, show(placement.gpu), "a GPU together with nodePool, which says where it is", "add nodePool"
            )
    elif placement.pool not in known:
        names = sorted(known)
        allowed = ("null, " + ", ".join(names)) if names else "null (nodePools is empty)"
        action = suggest(placement.pool, names, "add the pool to nodePools, or set null")
        yield Problem(placement.path, show(placement.pool), allowed, action)
    else:
        yield from _share(gpu_path, placement.gpu, known[placement.pool])


def _share(path: KeyPath, gpu: int | str | None, pool: NodePool) -> Iterator[Problem]:
    if gpu == 0:
        return
    offered = devices(pool)
    if gpu is None:
        if len(offered) > 1:
            yield Problem(path, "nothing", f"one of {_shares(offered)}, which the pool {pool.name} has", "add gpu")
        return
    name = resource(pool, gpu)
    if name not in offered:
        allowed = f"0 or {_shares(offered)}" if offered else "0 or nothing"
        yield Problem(
            path, show(gpu), f"{allowed}, which is what a node of the pool {pool.name} has", "correct the value"
        )
    elif isinstance(gpu, int) and pool.sharing and gpu > 1:
        yield Problem(
            path, str(gpu), f"1, because GPUs of the pool {pool.name} are shared: more shares are not more of a GPU",
            "set 1, or name a pool without sharing",
        )  # fmt: skip
    elif isinstance(gpu, int) and gpu > offered[name]:
        yield Problem(
            path, str(gpu),
            f"1 to {offered[name]}, because a node of the pool {pool.name} has {offered[name]} {shown(name)}",
            "ask for less, or name a pool of larger nodes",
        )  # fmt: skip


def _shares(offered: Mapping[str, int]) -> str:
    return ", ".join(
        f"1 to {count}" if name == GPU or name.startswith(CLAIMED) else name.partition("/")[2]
        for name, count in offered.items()
    )


def _too_small(environment: Environment, asked: Mapping[str, Counter[str]]) -> Iterator[Problem]:
    for index, pool in enumerate(pools(environment)):
        for name, amount in asked.get(pool.name, Counter()).items():
            total = devices(pool)[name] * pool.count
            if amount > total:
                yield Problem(
                    ("nodePools", index, "nodes"),
                    f"{pool.count} nodes with {total} {shown(name)}",
                    f"at least {amount} {shown(name)}, because what names the pool {pool.name} asks for that while "
                    "one model is updated",
                    "raise nodes, or lower replicas of the models on it",
                )
