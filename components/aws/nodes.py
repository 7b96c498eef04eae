"""The nodes of a cluster in AWS: their role, how each instance starts, managed groups, and what runs on every node."""

from collections.abc import Sequence
from typing import TypedDict

import pulumi
from pulumi_aws import ec2, eks, iam, kms

from components.aws.cluster import addon
from components.aws.kit import Place, child, key, role, service_trust, statement
from components.kit.names import GPU, POOL_LABEL

_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore")
_IMAGE, _GPU_IMAGE = "AL2023_x86_64_STANDARD", "AL2023_x86_64_NVIDIA"
_DISK = "/dev/xvda"


class NodeGroupArgs(TypedDict):
    """A managed node group."""

    name: str
    """Its name, and that of the node pool that its nodes are."""
    instance_types: Sequence[str]
    """Types of instances, the first preferred."""
    minimum: int
    """Number of nodes at least."""
    maximum: int
    """Number of nodes at most."""
    spot: bool
    """Whether instances are bought as spot."""
    disk_gib: int
    """Size of each node's disk, GiB."""
    gpus: bool
    """Whether instances have NVIDIA GPUs: only pods that tolerate the taint run there."""


class NodesArgs(TypedDict):
    """Arguments of Nodes."""

    place: Place
    """The cluster, its account and region."""
    cluster: pulumi.Input[str]
    """Name of the cluster."""
    subnets: Sequence[pulumi.Input[str]]
    """Ids of the private subnets."""
    groups: Sequence[NodeGroupArgs]
    """The managed groups, at least one."""


class Nodes(pulumi.ComponentResource):
    """Managed node groups with encrypted disks and IMDSv2 alone, and the add-ons that pods need."""

    role_arn: pulumi.Output[str]
    """ARN of the nodes' role, which pulls images of the account's registry."""
    role_name: pulumi.Output[str]
    """Name of the nodes' role."""
    groups: Sequence[pulumi.Resource]
    """The groups: what runs on nodes waits for them."""

    def __init__(self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:aws:Nodes", name, None, opts)
        place = args["place"]
        policies = [f"arn:{place.partition}:iam::aws:policy/{title}" for title in _POLICIES]
        taken = role(f"{name}-node", service_trust("ec2.amazonaws.com"), self, policies)
        disks = key(f"{name}-disks", place, "disks of nodes and volumes", self, _disk_users(place))
        # The network's pods have to run before a node is ready.
        network = addon(
            f"{name}-vpc-cni", "vpc-cni", args["cluster"], self, _network_identity(name, place, self),
            {"enableNetworkPolicy": "true"},
        )  # fmt: skip
        base = [network]
        base += [addon(f"{name}-{each}", each, args["cluster"], self) for each in _BEFORE_NODES]
        self.groups = [self._group(name, group, args, taken, disks.arn, base) for group in args["groups"]]
        addon(f"{name}-coredns", "coredns", args["cluster"], self, depends_on=self.groups)
        addon(
            f"{name}-ebs", "aws-ebs-csi-driver", args["cluster"], self, _volume_identity(name, place, self, disks),
            depends_on=self.groups,
        )  # fmt: skip
        self.role_arn, self.role_name = taken.arn, taken.name
        self.disk_key = disks.arn
        self.register_outputs({"role_arn": self.role_arn})

    disk_key: pulumi.Output[str]
    """ARN of the key of disks and volumes, which storage classes name."""

    def _group(
        self,
        name: str,
        group: NodeGroupArgs,
        args: NodesArgs,
        taken: iam.Role,
        disk_key: pulumi.Input[str],
        depends_on: Sequence[pulumi.Resource],
    ) -> eks.NodeGroup:
        title = f"{name}-{group['name']}"
        template = launch_template(title, group["disk_gib"], disk_key, self)
        taint = eks.NodeGroupTaintArgs(key=GPU, value="true", effect="NO_SCHEDULE")
        return eks.NodeGroup(
            title,
            cluster_name=args["cluster"],
            node_group_name=group["name"],
            node_role_arn=taken.arn,
            subnet_ids=args["subnets"],
            instance_types=group["instance_types"],
            ami_type=_GPU_IMAGE if group["gpus"] else _IMAGE,
            capacity_type="SPOT" if group["spot"] else "ON_DEMAND",
            scaling_config=eks.NodeGroupScalingConfigArgs(
                min_size=group["minimum"], max_size=group["maximum"], desired_size=group["minimum"]
            ),
            update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            launch_template=eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version.apply(str)),
            labels={POOL_LABEL: group["name"]},
            taints=[taint] if group["gpus"] else None,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=depends_on,
                # An autoscaler changes it.
                ignore_changes=["scalingConfig.desiredSize"],
            ),
        )


_BEFORE_NODES = ("kube-proxy", "eks-pod-identity-agent")


def launch_template(
    name: str, disk_gib: int, disk_key: pulumi.Input[str], parent: pulumi.Resource
) -> ec2.LaunchTemplate:
    """Declare how instances start: an encrypted disk, tokens for their metadata, which no pod reaches."""
    disk = ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
        volume_size=disk_gib, volume_type="gp3", encrypted="true", kms_key_id=disk_key, delete_on_termination="true"
    )
    return ec2.LaunchTemplate(
        name,
        block_device_mappings=[ec2.LaunchTemplateBlockDeviceMappingArgs(device_name=_DISK, ebs=disk)],
        # One hop ends at the node: a pod has an identity of its own.
        metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        monitoring=ec2.LaunchTemplateMonitoringArgs(enabled=True),
        tag_specifications=[
            ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags={"Name": name})
            for kind in ("instance", "volume")
        ],
        update_default_version=True,
        opts=child(parent),
    )


def _disk_users(place: Place) -> list[dict[str, object]]:
    """Return who uses the key of disks: instances that autoscaling starts."""
    scaling = place.arn(
        "iam", "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling", everywhere=True
    )
    actions = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    granted = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    return [
        statement("Disks", actions, ["*"], principal={"AWS": scaling}),
        statement("Attach", ["kms:CreateGrant"], ["*"], granted, {"AWS": scaling}),
    ]


def pod_trust() -> str:
    """Return the trust policy of a role that EKS gives to pods by an association."""
    return service_trust("pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")


def _network_identity(name: str, place: Place, parent: pulumi.Resource) -> dict[str, pulumi.Input[str]]:
    policy = f"arn:{place.partition}:iam::aws:policy/AmazonEKS_CNI_Policy"
    return {"aws-node": role(f"{name}-vpc-cni", pod_trust(), parent, [policy]).arn}


def _volume_identity(name: str, place: Place, parent: pulumi.Resource, disks: kms.Key) -> dict[str, pulumi.Input[str]]:
    policy = f"arn:{place.partition}:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
    granted = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    inline = [
        statement("Volumes", ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"], [disks.arn]),
        statement("Attach", ["kms:CreateGrant"], [disks.arn], granted),
    ]
    return {"ebs-csi-controller-sa": role(f"{name}-ebs", pod_trust(), parent, [policy], inline).arn}
