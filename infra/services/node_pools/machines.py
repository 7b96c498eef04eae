"""The machines of elastic pools: what each kind has, what it costs, and how many of them there may be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.contract.environment import Environment
from infra.contract.fields import CapacityType
from infra.contract.quantities import memory_bytes, milli_cores
from infra.services.node_pools.devices import devices
from infra.services.node_pools.section import InstanceType, NodePool, Provider, pools

_PODS = "110"


@dataclass(frozen=True)
class Machine:
    """An instance type: resources of a node as text by name, price per hour by capacity type."""

    name: str
    resources: Mapping[str, str]
    prices: Mapping[str, float]


def simulated_machines(environment: Environment) -> Iterator[Machine]:
    """Yield the machines of which an environment's own elastic pools without hardware are made, equal ones once."""
    seen: list[Machine] = []
    for pool in pools(environment):
        for each in pool.elastic.instance_types if pool.elastic and pool.elastic.provider is Provider.KWOK else ():
            made = _machine(pool, each)
            if made not in seen:
                seen.append(made)
                yield made


def _machine(pool: NodePool, kind: InstanceType) -> Machine:
    amounts = {name: str(count) for name, count in devices(pool, kind.gpus).items()}
    # What costs nothing known costs nothing: Karpenter takes the cheapest.
    full = kind.price_per_hour or 0.0
    spot = full if kind.spot_price_per_hour is None else kind.spot_price_per_hour
    chosen = pool.elastic.capacity_types if pool.elastic else ()
    prices = {CapacityType.ON_DEMAND: full, CapacityType.SPOT: spot}
    return Machine(
        kind.name,
        {"cpu": kind.cpu, "memory": kind.memory, "pods": _PODS, **amounts},
        {str(each): prices[each] for each in chosen},
    )


def largest_fleet(pool: NodePool) -> list[Machine]:
    """Return nodes as an elastic pool may have them at its limits: the largest machines first, then what is left.

    No node is larger than these, and no more of them come; of other machines there may be more.
    """
    if pool.elastic is None:
        return []
    limits = pool.elastic.limits
    left = [
        limits.gpus,
        milli_cores(limits.cpu) if limits.cpu else None,
        memory_bytes(limits.memory) if limits.memory else None,
    ]
    fleet: list[Machine] = []
    for kind in sorted(pool.elastic.instance_types, key=lambda each: _size(pool, each), reverse=True):
        while len(fleet) < pool.count:
            rest = [None if room is None else room - need for room, need in zip(left, _size(pool, kind), strict=True)]
            if any(room is not None and room < 0 for room in rest):
                break
            left = rest
            fleet.append(_machine(pool, kind))
    return fleet


def _size(pool: NodePool, kind: InstanceType) -> tuple[int, int, int]:
    return pool.gpus if kind.gpus is None else kind.gpus, milli_cores(kind.cpu), memory_bytes(kind.memory)
