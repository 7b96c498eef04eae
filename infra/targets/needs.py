"""What the environments of a project ask of one node that runs them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Needs:
    """`registry` is host:port of the registry that a stack runs there, `ports` the node ports by number with their use.

    `builds_base` says that an environment builds its Python base image on the node instead of pulling one.
    """

    registry: str | None = None
    ports: Mapping[int, str] = field(default_factory=dict)
    builds_base: bool = False
