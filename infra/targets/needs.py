"""What the environments of a project ask of one node that runs them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class InstanceType:
    """A kind of machine of which elastic pools get nodes.

    `resources` are those of a node, as text by name, with units as Kubernetes has them; `prices` what one costs per
    hour, by capacity type (`on-demand`, `spot`), in the currency that all prices are in.
    """

    name: str
    resources: Mapping[str, str]
    prices: Mapping[str, float]


@dataclass(frozen=True)
class Needs:
    """`registry` is host:port of the registry that a stack runs there, `ports` the node ports by number with their use.

    `builds_base` says that an environment builds its Python base image on the node instead of pulling one;
    `instance_types` are those of its elastic pools: without any, no autoscaler runs.
    """

    registry: str | None = None
    ports: Mapping[int, str] = field(default_factory=dict)
    builds_base: bool = False
    instance_types: tuple[InstanceType, ...] = ()
