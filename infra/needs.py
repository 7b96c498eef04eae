"""What the environments that run on the embedded cluster ask of its node."""

from pathlib import Path

from infra.composition.service import Stack
from infra.contract.environment import Environment
from infra.contract.problems import ConfigError
from infra.contract.stacks import StackFiles
from infra.services import images, node_pools, registry
from infra.targets.needs import InstanceType, Needs
from infra.targets.variables import LOCAL_CONTEXT
from infra.values import ROOT, from_file


def local_needs(root: Path = ROOT) -> Needs:
    """Return the needs of all environments of the checkout at `root` whose context is the embedded cluster's.

    Raise ConfigError when a stack file is wrong.
    """
    files = StackFiles(root)
    stacks = [from_file(name, root, files=files, only=()).stack for name in files.ordered()]
    return needs([stack for stack in stacks if stack.environment.cluster.context == LOCAL_CONTEXT])


def needs(stacks: list[Stack]) -> Needs:
    """Return what these stacks ask of one node that runs them all."""
    environments = [stack.environment for stack in stacks]
    registries = [registry.address(environment) for environment in environments if registry.runs(environment)]
    return Needs(
        registry=registries[0] if registries else None,
        ports={
            port.port: f"{stack.environment.environment} {port.listener}"
            for stack in stacks
            for port in stack.node_ports()
        },
        builds_base=any(images.builds_base(environment) for environment in environments),
        instance_types=_instance_types(environments),
    )


def _instance_types(environments: list[Environment]) -> tuple[InstanceType, ...]:
    """Return the instance types of all elastic pools; raise ConfigError where two of one name are not the same.

    One autoscaler has them all: it knows a type by its name. Pools may buy the same type in different ways.
    """
    known: dict[str, InstanceType] = {}
    for environment in environments:
        for machine in node_pools.simulated_machines(environment):
            first = known.get(machine.name)
            prices = {**machine.prices, **(first.prices if first else {})}
            if first and (first.resources != machine.resources or prices != {**prices, **machine.prices}):
                raise ConfigError(
                    f"nodePools: {environment.environment} has an instance type {machine.name} that is "
                    f"another one than that of another pool, and one autoscaler of the local cluster makes "
                    "nodes of both; give them the same resources, shares of GPUs and prices, or names of their own"
                )
            known[machine.name] = InstanceType(machine.name, machine.resources, prices)
    return tuple(known.values())
