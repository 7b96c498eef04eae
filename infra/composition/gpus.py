"""Which pods compute on a GPU: known to the service that has the node pools and to those with pods on them."""

from collections.abc import Sequence
from typing import Any, Protocol

from infra.contract.environment import Environment, SectionField


class Pool(Protocol):
    """What counts of a node pool here."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def gpus(self) -> int:
        """How many GPUs a node has."""


NODE_POOLS = "node_pools"
_POOLS: SectionField[Sequence[Pool]] = SectionField(NODE_POOLS, Any)


def gets_gpu(gpu: int | str | None, gpus: int) -> bool:
    """Return whether pods get a GPU, a share or an instance of one, by what is said of it and the GPUs of a node.

    Where nothing is said, they get one of what the nodes have.
    """
    return gpus > 0 if gpu is None else gpu != 0


def on_gpu(environment: Environment, pool: str | None, gpu: int | str | None) -> bool:
    """Return whether pods that name this pool, None where they run on any node, compute on a GPU."""
    return any(each.name == pool and gets_gpu(gpu, each.gpus) for each in environment.section(_POOLS))
