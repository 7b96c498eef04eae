"""A pool of nodes that come for pods that wait, and go when they are idle."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.taints import TaintArgs, all_taints
from components.kit.custom import CustomResource
from components.kit.kubernetes import meta
from components.kit.names import GPU, POOL_LABEL
from components.kit.options import child

_CAPACITY_TYPE, _INSTANCE_TYPE = "karpenter.sh/capacity-type", "node.kubernetes.io/instance-type"
_ZONE, _ARCHITECTURE, _SYSTEM = "topology.kubernetes.io/zone", "kubernetes.io/arch", "kubernetes.io/os"


class NodeProvider(StrEnum):
    """Whose nodes Karpenter makes."""

    EC2 = "ec2"
    """Instances of EC2, by an EC2NodeClass."""
    KWOK = "kwok"
    """Nodes without hardware, by a KWOKNodeClass."""


class Ec2Args(TypedDict):
    """The EC2 side of nodes."""

    role: str
    """IAM role of the nodes, by name."""
    ami_alias: str
    """Image alias with its version, such as `al2023@v20251101`."""
    subnet_tags: Mapping[str, str]
    """Tags of the subnets."""
    security_group_tags: Mapping[str, str]
    """Tags of the security groups."""
    volume_size: NotRequired[str]
    """Size of the encrypted root volume, in bytes with a binary unit; 100Gi when absent."""


class ElasticPoolArgs(TypedDict):
    """Arguments of ElasticPool."""

    provider: NodeProvider
    """Whose nodes Karpenter makes."""
    instance_types: Sequence[str]
    """Names of the instance types that it may choose of; it takes the cheapest that will do."""
    nodes: int
    """Nodes at most."""
    gpus: NotRequired[int]
    """Accelerators of the largest instance type; none when absent."""
    capacity_types: NotRequired[Sequence[str] | None]
    """`on-demand` and `spot`; on-demand alone when absent."""
    zones: NotRequired[Sequence[str] | None]
    """Zones of the nodes; any when absent."""
    cpu_limit: NotRequired[str | None]
    """CPU cores of all nodes together at most, as text."""
    memory_limit: NotRequired[str | None]
    """Memory of all nodes together at most, in bytes with a binary unit."""
    gpu_limit: NotRequired[int | None]
    """Accelerators of all nodes together at most: never more than `nodes` times `gpus`, which it is when absent."""
    moves_pods: NotRequired[bool]
    """True: pods are moved off nodes that are hardly used, too; else only nodes without pods are removed."""
    consolidate_after: NotRequired[str]
    """Time for which a node must be idle, such as `30s`; `1m` when absent."""
    expire_after: NotRequired[str | None]
    """Age at which a node is replaced, such as `720h`; never when absent."""
    labels: NotRequired[Mapping[str, str] | None]
    """More labels of the nodes."""
    taints: NotRequired[Sequence[TaintArgs] | None]
    """More taints of the nodes; those with accelerators have `nvidia.com/gpu` anyway."""
    ec2: NotRequired[Ec2Args | None]
    """The EC2 side of nodes, with the provider `ec2`."""


class ElasticPool(pulumi.ComponentResource):
    """A Karpenter NodePool with its node class: from no nodes to the limit and back, by what pods ask for."""

    pool: pulumi.Output[str]
    """Name of the NodePool."""

    def __init__(self, name: str, args: ElasticPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ElasticPool", name, None, opts)
        metadata = meta.v1.ObjectMetaArgs(name=name)
        group, version, kind, spec = _node_class(name, args)
        node_class = CustomResource(
            f"{name}-class",
            api_version=f"{group}/{version}",
            kind=kind,
            metadata=metadata,
            **({} if spec is None else {"spec": spec}),
            opts=child(self),
        )
        pool = CustomResource(
            f"{name}-pool",
            api_version="karpenter.sh/v1",
            kind="NodePool",
            metadata=metadata,
            spec={
                "template": {
                    "metadata": {"labels": {**(args.get("labels") or {}), POOL_LABEL: name}},
                    "spec": {
                        "nodeClassRef": {"group": group, "kind": kind, "name": name},
                        "requirements": _requirements(args),
                        "taints": _taints(args),
                        "expireAfter": args.get("expire_after") or "Never",
                    },
                },
                "disruption": {
                    "consolidationPolicy": "WhenEmptyOrUnderutilized" if args.get("moves_pods") else "WhenEmpty",
                    "consolidateAfter": args.get("consolidate_after") or "1m",
                },
                "limits": _limits(args),
            },
            opts=child(self, [node_class]),
        )
        self.pool = pool.metadata["name"]
        self.register_outputs({"pool": self.pool})


def _node_class(name: str, args: ElasticPoolArgs) -> tuple[str, str, str, dict[str, Any] | None]:
    """Return group, version, kind and spec of the node class; raise ValueError where the provider lacks its part."""
    if args["provider"] == NodeProvider.KWOK:
        return "karpenter.kwok.sh", "v1alpha1", "KWOKNodeClass", None
    ec2 = args.get("ec2")
    if ec2 is None:
        raise ValueError(f"the elastic pool {name} has the provider ec2 without `ec2`; give role, image and network")
    spec = {
        "role": ec2["role"],
        "amiSelectorTerms": [{"alias": ec2["ami_alias"]}],
        "subnetSelectorTerms": [{"tags": ec2["subnet_tags"]}],
        "securityGroupSelectorTerms": [{"tags": ec2["security_group_tags"]}],
        "blockDeviceMappings": [
            {
                # Bottlerocket keeps what pods write on a second volume.
                "deviceName": "/dev/xvdb" if ec2["ami_alias"].startswith("bottlerocket") else "/dev/xvda",
                "rootVolume": True,
                "ebs": {"volumeSize": ec2.get("volume_size") or "100Gi", "volumeType": "gp3", "encrypted": True},
            }
        ],
        # Pods get no credentials of the node: no hop beyond it, and no requests without a token.
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    }
    return "karpenter.k8s.aws", "v1", "EC2NodeClass", spec


def _requirements(args: ElasticPoolArgs) -> list[dict[str, Any]]:
    wanted: dict[str, Sequence[str]] = {
        _INSTANCE_TYPE: args["instance_types"],
        _CAPACITY_TYPE: args.get("capacity_types") or ["on-demand"],
        _ARCHITECTURE: ["amd64"],
        _SYSTEM: ["linux"],
        _ZONE: args.get("zones") or [],
    }
    return [{"key": key, "operator": "In", "values": list(values)} for key, values in wanted.items() if values]


def _taints(args: ElasticPoolArgs) -> list[dict[str, str]]:
    made = all_taints(args.get("gpus", 0), args.get("taints") or [])
    return [{key: str(value) for key, value in taint.items() if value} for taint in made]


def _limits(args: ElasticPoolArgs) -> dict[str, str]:
    gpus, most = args.get("gpu_limit"), args["nodes"] * args.get("gpus", 0)
    if most:
        # For pods that come together Karpenter adds up what nodes have, not the nodes (kubernetes-sigs/karpenter#2915).
        gpus = min(most, most if gpus is None else gpus)
    wanted = {
        "nodes": str(args["nodes"]),
        "cpu": args.get("cpu_limit"),
        "memory": args.get("memory_limit"),
        GPU: None if gpus is None else str(gpus),
    }
    return {key: value for key, value in wanted.items() if value is not None}
