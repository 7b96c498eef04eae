"""Node pools: simulated by this stack, or run by somebody else; who may be placed on them."""

from collections.abc import Iterator

from pydantic import Field

from infra.composition.context import Composition
from infra.composition.service import Service, Stack
from infra.contract.environment import Environment, SectionField
from infra.contract.fields import Name, Section
from infra.contract.problems import Problem, show, suggest

# The output that says how many nodes each pool has, and what one costs per hour where its price is known.
NODES = "nodePools"


class NodePool(Section):
    """Nodes of one kind: simulated by this stack, or run by somebody else."""

    name: Name
    accelerator: Name = Field(description="the accelerator as a node label value, such as nvidia-h100")
    gpus: int = Field(ge=1, le=16, description="accelerators per node, 1 to 16")
    nodes: int = Field(ge=1, le=1000, description="number of nodes, 1 to 1000")
    simulated: bool = Field(default=False, description="true: nodes without hardware, for scheduling and previews")
    external: bool = Field(default=False, description="true: the nodes exist and are run by the cluster's owner")
    price_per_hour: float | None = Field(
        default=None, ge=0, description="what one node costs per hour: a number, in the currency that all prices are in"
    )


SECTION: SectionField[tuple[NodePool, ...]] = SectionField(
    "node_pools", tuple[NodePool, ...], default=(), description="a list of node pools"
)


def pools(environment: Environment) -> tuple[NodePool, ...]:
    """Return the node pools of an environment."""
    return environment.section(SECTION)


def _unknown(stack: Stack) -> Iterator[Problem]:
    """Yield each placement of a service on a pool that the environment does not have."""
    known = sorted(each.name for each in pools(stack.environment))
    allowed = ("null, " + ", ".join(known)) if known else "null (nodePools is empty)"
    for placement in stack.placements():
        if placement.pool is not None and placement.pool not in known:
            action = suggest(placement.pool, known, "add the pool to nodePools, or set null")
            yield Problem(placement.path, show(placement.pool), allowed, action)


def _rules(stack: Stack) -> Iterator[Problem]:
    yield from _unknown(stack)
    seen: set[str] = set()
    for index, pool in enumerate(pools(stack.environment)):
        if pool.name in seen:
            yield Problem(("nodePools", index, "name"), show(pool.name), "a name of its own", "rename one of the two")
        seen.add(pool.name)
        yield from _kind(index, pool)
        if pool.simulated and stack.environment.cluster.shared:
            yield Problem(
                ("nodePools", index, "simulated"),
                "true",
                "false, because cluster.shared is true: the cluster's owner creates nodes",
                "set external: true instead",
            )


def _kind(index: int, pool: NodePool) -> Iterator[Problem]:
    if pool.simulated and pool.external:
        yield Problem(
            ("nodePools", index),
            "simulated: true and external: true",
            "one of simulated and external",
            "remove one of the two",
        )
    elif not (pool.simulated or pool.external):
        yield Problem(
            ("nodePools", index),
            "neither simulated nor external",
            "simulated: true (nodes without hardware) or external: true (nodes the cluster's owner runs)",
            "add one of the two",
        )


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack declares nodes."""
    return any(pool.simulated for pool in pools(environment))


def _compose(context: Composition) -> None:
    from components.cluster import node_pool

    _export(context)
    for pool in pools(context.environment):
        if pool.simulated:
            node_pool.NodePool(
                pool.name, {"accelerator": pool.accelerator, "gpus": pool.gpus, "nodes": pool.nodes}, context.opts
            )


def _export(context: Composition) -> None:
    """Export what the pools cost: a plan compares it with what was applied before."""
    import pulumi

    pulumi.export(NODES, {pool.name: _priced(pool) for pool in pools(context.environment)})


def _priced(pool: NodePool) -> dict[str, float]:
    price = {} if pool.price_per_hour is None else {"pricePerHour": pool.price_per_hour}
    return {"nodes": pool.nodes, **price}


SERVICE = Service("node-pools", section=SECTION, runs=runs, rules=_rules, compose=_compose, connect=_export)
