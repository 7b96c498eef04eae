"""Node pools: nodes that this stack makes, changes, or finds; how their GPUs are shared, and who is placed on them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from infra.composition.context import Composition
from infra.composition.handover import PoolPlaces, SharedGpus
from infra.composition.kinds import EC2_NODES, KARPENTER, KWOK_NODES, KindNeed
from infra.composition.service import Service, Stack
from infra.contract.environment import Environment
from infra.contract.problems import Problem
from infra.services.node_pools import placing
from infra.services.node_pools import rules as of_pools
from infra.services.node_pools.devices import CLAIMED, configuration, devices, labels
from infra.services.node_pools.devices import shown as shown_resource
from infra.services.node_pools.machines import largest_fleet, simulated_machines
from infra.services.node_pools.section import SECTION, Elastic, Kind, NodePool, Provider, pools
from infra.targets.variables import LOCAL_CONTEXT

if TYPE_CHECKING:
    from components.cluster.elastic_pool import ElasticPoolArgs
    from components.cluster.taints import TaintArgs

__all__ = [
    "CLAIMED", "NODES", "SERVICE", "Kind", "NodePool", "devices", "largest_fleet", "pools", "shown_resource",
    "simulated_machines",
]  # fmt: skip

# The output that says how many nodes each pool has, and what one costs per hour where its price is known.
NODES = "nodePools"


def _rules(stack: Stack) -> Iterator[Problem]:
    wrong = list(of_pools.rules(stack))
    yield from wrong
    # What is placed is held against pools that make sense.
    if not wrong:
        yield from placing.rules(stack)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack declares nodes, or something of nodes."""
    return any(pool.owned for pool in pools(environment))


def _kinds(environment: Environment) -> Iterator[KindNeed]:
    local = environment.cluster.context == LOCAL_CONTEXT
    for index, pool in enumerate(pools(environment)):
        if pool.elastic:
            simulated = pool.elastic.provider is Provider.KWOK
            yield KindNeed(
                ("nodePools", index),
                f"the elastic pool {pool.name}, provider {pool.elastic.provider}",
                (KARPENTER, KWOK_NODES if simulated else EC2_NODES),
                "run `stellwerk cluster up`, which brings Karpenter, and then this again"
                if local and simulated
                else "",
            )


def _compose(context: Composition) -> None:
    _connect(context)
    for pool in pools(context.environment):
        match pool.made_by:
            case Kind.SIMULATED:
                _simulated(pool, context)
            case Kind.EXISTING if pool.owned:
                _existing(pool, context)
            case Kind.ELASTIC:
                _elastic(pool, context)


def _simulated(pool: NodePool, context: Composition) -> None:
    from components.cluster.node_pool import NodePool as SimulatedNodes

    amounts = {name: str(count) for name, count in devices(pool).items()}
    SimulatedNodes(
        pool.name,
        {
            "nodes": pool.count,
            "accelerator": pool.accelerator,
            "gpus": pool.gpus,
            "devices": amounts,
            "labels": {**labels(pool), **pool.labels},
            "taints": _taints(pool),
        },
        context.opts,
    )


def _existing(pool: NodePool, context: Composition) -> None:
    from components.cluster.existing_nodes import ExistingNodes

    names = pool.select.names if pool.select else ()
    ExistingNodes(
        pool.name,
        {
            "nodes": list(names),
            "gpus": pool.gpus,
            "labels": {**configuration(pool), **pool.labels},
            "taints": _taints(pool),
        },
        context.opts,
    )


def _elastic(pool: NodePool, context: Composition) -> None:
    from components.cluster.elastic_pool import ElasticPool

    ElasticPool(pool.name, _elastic_arguments(pool, _of(pool)), context.opts)


def _of(pool: NodePool) -> Elastic:
    if pool.elastic is None:
        raise AssertionError("a rule requires what Karpenter may make")
    return pool.elastic


def _elastic_arguments(pool: NodePool, elastic: Elastic) -> "ElasticPoolArgs":
    from components.cluster.elastic_pool import NodeProvider

    limits, node_class = elastic.limits, elastic.node_class
    made: ElasticPoolArgs = {
        "provider": NodeProvider(elastic.provider),
        "instance_types": [each.name for each in elastic.instance_types],
        "capacity_types": [str(each) for each in elastic.capacity_types],
        "zones": list(elastic.zones),
        "nodes": pool.count,
        "gpus": pool.gpus,
        "cpu_limit": limits.cpu,
        "memory_limit": limits.memory,
        "gpu_limit": limits.gpus,
        "moves_pods": elastic.consolidation == "underutilized",
        "consolidate_after": elastic.consolidate_after,
        "expire_after": elastic.expire_after,
        # On real nodes GPU feature discovery writes its own.
        "labels": {**(labels(pool) if elastic.provider is Provider.KWOK else {}), **pool.labels},
        "taints": _taints(pool),
    }
    if node_class is not None:
        made["ec2"] = {
            "role": node_class.role,
            "ami_alias": node_class.ami_alias,
            "subnet_tags": node_class.subnets.tags,
            "security_group_tags": node_class.security_groups.tags,
            "volume_size": node_class.volume_size,
        }
    return made


def _taints(pool: NodePool) -> "list[TaintArgs]":
    return [{"key": each.key, "value": each.value, "effect": str(each.effect)} for each in pool.taints]


def _connect(context: Composition) -> None:
    """Export what the pools cost, which a plan compares with what was applied before, and hand on what pods need."""
    import pulumi

    environment = context.environment
    pulumi.export(NODES, {pool.name: _priced(pool) for pool in pools(environment)})
    context.give(PoolPlaces(lambda name, gpu: placing.place(environment, name, gpu)))
    shared = {pool.name: pool.sharing for pool in pools(environment) if pool.sharing}
    context.give(
        SharedGpus(
            {name: each.mig for name, each in shared.items() if each.mig},
            {name: each.time_slicing.replicas for name, each in shared.items() if each.time_slicing},
            {name: each.mps.replicas for name, each in shared.items() if each.mps},
        )
    )


def _priced(pool: NodePool) -> dict[str, Any]:
    price = {} if pool.price is None else {"pricePerHour": pool.price}
    # Nodes come and go: what is sure to cost something is none of them.
    return {"nodes": 0, "most": pool.count, **price} if pool.elastic else {"nodes": pool.count, **price}


SERVICE = Service(
    "node-pools",
    section=SECTION,
    gives=(PoolPlaces, SharedGpus),
    runs=runs,
    rules=_rules,
    kinds=_kinds,
    compose=_compose,
    connect=_connect,
)
