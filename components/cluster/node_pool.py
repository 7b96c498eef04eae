"""Nodes of one kind."""

import json
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.cluster.taints import TaintArgs, all_taints
from components.kit.kubernetes import core, meta
from components.kit.names import CAPACITY, GPU, POOL_LABEL


class NodePoolArgs(TypedDict):
    """Arguments of NodePool."""

    nodes: int
    """Number of nodes."""
    accelerator: NotRequired[str | None]
    """Accelerator as a label value, such as `nvidia-h100`; none when absent."""
    gpus: NotRequired[int]
    """Accelerators per node; none when absent."""
    devices: NotRequired[Mapping[str, str] | None]
    """What nodes offer to pods by resource, such as instances of GPUs; whole accelerators when absent."""
    cpu: NotRequired[str]
    """CPU cores per node, as text; 64 when absent."""
    memory: NotRequired[str]
    """Memory per node, in bytes with a binary unit; 512Gi when absent."""
    labels: NotRequired[Mapping[str, str] | None]
    """More labels of the nodes, such as those of GPU feature discovery."""
    taints: NotRequired[Sequence[TaintArgs] | None]
    """More taints of the nodes; those with accelerators have `nvidia.com/gpu` anyway."""


class NodePool(pulumi.ComponentResource):
    """Nodes simulated by kwok, with GPUs or without: the real scheduler places pods on them, nothing runs there."""

    names: list[pulumi.Output[str]]
    """Names of the nodes."""

    def __init__(self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:NodePool", name, None, opts)
        whole = {GPU: str(args["gpus"])} if args.get("gpus") else {}
        given = args.get("devices")
        capacity = {
            "cpu": args.get("cpu", "64"),
            "memory": args.get("memory", "512Gi"),
            "pods": "110",
            **(whole if given is None else given),
        }
        self.names = [self._node(f"{name}-{index}", name, args, capacity) for index in range(args["nodes"])]
        self.register_outputs({"names": self.names})

    def _node(self, title: str, pool: str, args: NodePoolArgs, capacity: dict[str, str]) -> pulumi.Output[str]:
        accelerator = args.get("accelerator")
        node = core.v1.Node(
            title,
            metadata=meta.v1.ObjectMetaArgs(
                name=title,
                # A node's status belongs to its kubelet: the simulated one takes the capacity from here.
                annotations={"kwok.x-k8s.io/node": "fake", CAPACITY: json.dumps(capacity)},
                labels={
                    **({"nvidia.com/gpu.product": accelerator} if accelerator else {}),
                    **(args.get("labels") or {}),
                    POOL_LABEL: pool,
                    "stellwerk.dev/simulated": "true",
                    "kubernetes.io/hostname": title,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                },
            ),
            spec=core.v1.NodeSpecArgs(
                taints=[
                    core.v1.TaintArgs(key=each["key"], value=each["value"], effect=each["effect"])
                    for each in all_taints(args.get("gpus", 0), args.get("taints") or [])
                ]
            ),
            # The node controller adds taints of its own while a node is not ready.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["spec.taints"]),
        )
        name: pulumi.Output[str] = node.metadata.name
        return name
