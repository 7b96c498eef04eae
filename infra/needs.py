"""What the environments that run on the embedded cluster ask of its node."""

from infra.contract.environment import Environment, Mode
from infra.targets.needs import Needs
from infra.targets.variables import LOCAL_CONTEXT
from infra.values import ENVIRONMENTS, from_file


def local_needs() -> Needs:
    """Return the needs of all environments of this project whose context is the embedded cluster's.

    Raises ConfigError when a stack file is wrong.
    """
    environments = [from_file(name).environment for name in ENVIRONMENTS]
    local = [environment for environment in environments if environment.cluster.context == LOCAL_CONTEXT]
    ports: dict[int, str] = {}
    for environment in local:
        ports |= _ports(environment)
    registries = [item.registry.address for item in local if item.registry.mode is Mode.EMBEDDED]
    bases = [environment.images.base_python for environment in local]
    return Needs(
        registry=registries[0] if registries else None,
        ports=ports,
        builds_base=any(base is not None and base.build for base in bases),
    )


def _ports(environment: Environment) -> dict[int, str]:
    """Return the node ports of one environment, with the words for who listens there."""
    name = environment.environment.value
    ports = {environment.gateway.node_port: f"{name} gateway"}
    if environment.object_store.node_port is not None:
        ports[environment.object_store.node_port] = f"{name} object store"
    if environment.logging.node_port is not None:
        ports[environment.logging.node_port] = "log store"
    _, _, port = environment.registry.address.rpartition(":")
    if environment.registry.mode is Mode.EMBEDDED and port.isdigit():
        ports[int(port)] = "image registry"
    return ports
