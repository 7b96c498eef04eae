"""Nodes of one kind."""

import json
from typing import NotRequired, TypedDict

import pulumi

from components.kit.kubernetes import core, meta
from components.kit.names import CAPACITY, GPU, POOL_LABEL


class NodePoolArgs(TypedDict):
    """Arguments of NodePool."""

    accelerator: str
    """Accelerator as a label value, such as `nvidia-h100`."""
    gpus: int
    """Accelerators per node."""
    nodes: int
    """Number of nodes."""
    cpu: NotRequired[str]
    """CPU cores per node, as text; 64 when absent."""
    memory: NotRequired[str]
    """Memory per node, in bytes with a binary unit; 512Gi when absent."""


class NodePool(pulumi.ComponentResource):
    """GPU nodes simulated by kwok: the real scheduler places pods on them, nothing runs there."""

    names: list[pulumi.Output[str]]
    """Names of the nodes."""

    def __init__(self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:NodePool", name, None, opts)
        capacity = {
            "cpu": args.get("cpu", "64"),
            "memory": args.get("memory", "512Gi"),
            "pods": "110",
            GPU: str(args["gpus"]),
        }
        self.names = [self._node(f"{name}-{index}", name, args, capacity) for index in range(args["nodes"])]
        self.register_outputs({"names": self.names})

    def _node(self, title: str, pool: str, args: NodePoolArgs, capacity: dict[str, str]) -> pulumi.Output[str]:
        node = core.v1.Node(
            title,
            metadata=meta.v1.ObjectMetaArgs(
                name=title,
                # A node's status belongs to its kubelet: the simulated one takes the capacity from here.
                annotations={"kwok.x-k8s.io/node": "fake", CAPACITY: json.dumps(capacity)},
                labels={
                    POOL_LABEL: pool,
                    "stellwerk.dev/simulated": "true",
                    "nvidia.com/gpu.product": args["accelerator"],
                    "kubernetes.io/hostname": title,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                },
            ),
            spec=core.v1.NodeSpecArgs(taints=[core.v1.TaintArgs(key=GPU, value="present", effect="NoSchedule")]),
            # The node controller adds taints of its own while a node is not ready.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["spec.taints"]),
        )
        name: pulumi.Output[str] = node.metadata.name
        return name
