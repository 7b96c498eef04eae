"""Node pools of values, as tests give them to what asks an environment for its pools."""

import json
from collections.abc import Mapping
from typing import Any

from infra.services.node_pools import NodePool


class Pools:
    """An environment, and a project of it, with nothing but node pools."""

    def __init__(self, *pools: Mapping[str, Any]) -> None:
        self._pools = tuple(NodePool.model_validate_json(json.dumps(pool)) for pool in pools)

    def environment(self, _: str) -> "Pools":
        """Return the environment, whatever its name."""
        return self

    def section(self, _: object) -> tuple[NodePool, ...]:
        """Return the pools, whatever is asked."""
        return self._pools


def elastic(name: str, nodes: int, *types: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return an elastic pool of nodes without hardware; its GPUs are those of the largest type."""
    gpus = max(each.get("gpus", 0) for each in types)
    made: dict[str, Any] = {"name": name, "kind": "elastic", "nodes": nodes, "gpus": gpus}
    made |= {"accelerator": "nvidia-l4"} if gpus else {}
    return {**made, "elastic": {"provider": "kwok", "instanceTypes": list(types), **more}}
