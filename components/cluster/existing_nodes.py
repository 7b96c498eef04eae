"""Nodes that are there already, and become those of a pool."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.cluster.taints import TaintArgs, all_taints
from components.kit.kubernetes import core, meta
from components.kit.names import POOL_LABEL
from components.kit.options import child


class ExistingNodesArgs(TypedDict):
    """Arguments of ExistingNodes."""

    nodes: Sequence[str]
    """Names of the nodes."""
    gpus: NotRequired[int]
    """Accelerators per node; none when absent."""
    labels: NotRequired[Mapping[str, str] | None]
    """More labels that these nodes get."""
    taints: NotRequired[Sequence[TaintArgs] | None]
    """More taints that these nodes get; those with accelerators get `nvidia.com/gpu` anyway."""


class ExistingNodes(pulumi.ComponentResource):
    """Labels and taints of nodes that somebody else runs, by server-side apply: they go with the component.

    A label or a taint that another manager has set otherwise is a conflict that the API server names: nothing is taken
    over. A node that does not exist is an error.
    """

    names: list[pulumi.Output[str]]
    """Names of the nodes."""

    def __init__(self, name: str, args: ExistingNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ExistingNodes", name, None, opts)
        taints = [
            core.v1.TaintPatchArgs(key=each["key"], value=each["value"], effect=each["effect"])
            for each in all_taints(args.get("gpus", 0), args.get("taints") or [])
        ]
        self.names = []
        for node in args["nodes"]:
            patch = core.v1.NodePatch(
                f"{name}-{node}",
                metadata=meta.v1.ObjectMetaPatchArgs(
                    name=node, labels={**(args.get("labels") or {}), POOL_LABEL: name}
                ),
                spec=core.v1.NodeSpecPatchArgs(taints=taints) if taints else None,
                opts=child(self),
            )
            self.names.append(patch.metadata.name)
        self.register_outputs({"names": self.names})
