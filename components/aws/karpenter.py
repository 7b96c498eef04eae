"""Karpenter in AWS: the role of its controller, the nodes that it starts, what tells it that a spot instance goes."""

import json
from collections.abc import Sequence
from typing import Any, TypedDict

import pulumi
from pulumi_aws import cloudwatch, eks, sqs

from components.aws.chart import Release
from components.aws.kit import Place, child, document, role, statement
from components.aws.nodes import pod_trust
from components.kit.kubernetes import Provider

NAMESPACE = ACCOUNT = "karpenter"
_CHART = "oci://public.ecr.aws/karpenter/karpenter"
_POOL = "karpenter.sh/nodepool"
_CLASS = "karpenter.k8s.aws/ec2nodeclass"
# By which events AWS says that an instance goes, or has gone.
_EVENTS = {
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "health": ("aws.health", "AWS Health Event"),
}


class KarpenterArgs(TypedDict):
    """Arguments of Karpenter."""

    place: Place
    """The cluster, its account and region."""
    cluster: pulumi.Input[str]
    """Name of the cluster."""
    version: str
    """Version of the chart."""
    node_role: pulumi.Input[str]
    """ARN of the role of the nodes that it starts."""
    provider: Provider
    """Provider of the cluster."""
    nodes: Sequence[pulumi.Resource]
    """The nodes it runs on itself."""


class Karpenter(pulumi.ComponentResource):
    """The controller with what it needs; node pools and node classes are the environments'."""

    queue: pulumi.Output[str]
    """Name of the queue of interruptions."""

    def __init__(self, name: str, args: KarpenterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:aws:Karpenter", name, None, opts)
        place = args["place"]
        queue = self._queue(name, place)
        controller = role(f"{name}-controller", pod_trust(), self, inline=statements(args, queue.arn))
        taken = eks.PodIdentityAssociation(
            name,
            cluster_name=args["cluster"],
            namespace=NAMESPACE,
            service_account=ACCOUNT,
            role_arn=controller.arn,
            opts=child(self),
        )
        settings = {
            "settings": {"clusterName": args["cluster"], "interruptionQueue": queue.name},
            "serviceAccount": {"name": ACCOUNT},
            "replicas": 2,
        }
        waits = [taken, *args["nodes"]]
        Release(name, _CHART, args["version"], NAMESPACE, settings, args["provider"], self, waits)
        self.queue = queue.name
        self.register_outputs({"queue": self.queue})

    def _queue(self, name: str, place: Place) -> sqs.Queue:
        queue = sqs.Queue(
            name, name=name, message_retention_seconds=300, sqs_managed_sse_enabled=True, opts=child(self)
        )
        source = {"StringEquals": {"aws:SourceAccount": place.account}}
        sends = statement("Events", ["sqs:SendMessage"], [queue.arn], source, {"Service": "events.amazonaws.com"})
        in_clear = statement(
            "TlsAlone", ["sqs:*"], [queue.arn], {"Bool": {"aws:SecureTransport": "false"}}, "*", "Deny"
        )
        sqs.QueuePolicy(name, queue_url=queue.url, policy=document([sends, in_clear]), opts=child(self))
        for title, (origin, kind) in _EVENTS.items():
            pattern = json.dumps({"source": [origin], "detail-type": [kind]}, sort_keys=True)
            rule = cloudwatch.EventRule(
                f"{name}-{title}", name=f"{name}-{title}", event_pattern=pattern, opts=child(self)
            )
            cloudwatch.EventTarget(f"{name}-{title}", rule=rule.name, arn=queue.arn, opts=child(self))
        return queue


def statements(args: KarpenterArgs, queue: pulumi.Input[str]) -> list[dict[str, Any]]:
    """Return what the controller may do: start instances with the cluster's tag, and end or change those alone."""
    place = args["place"]
    owned = f"kubernetes.io/cluster/{place.cluster}"
    asked = {"StringEquals": {f"aws:RequestTag/{owned}": "owned"}, "StringLike": {f"aws:RequestTag/{_POOL}": "*"}}
    tagged = {"StringEquals": {f"aws:ResourceTag/{owned}": "owned"}, "StringLike": {f"aws:ResourceTag/{_POOL}": "*"}}
    in_region = {"StringEquals": {"aws:RequestedRegion": place.region}}
    ec2 = f"arn:{place.partition}:ec2:{place.region}"
    made = [f"{ec2}:*:{kind}/*" for kind in ("fleet", "instance", "volume", "network-interface", "launch-template")]
    made.append(f"{ec2}:*:spot-instances-request/*")
    used = [f"{ec2}::image/*", f"{ec2}::snapshot/*"]
    used += [f"{ec2}:*:{kind}/*" for kind in ("security-group", "subnet", "capacity-reservation")]
    describe = [
        f"ec2:Describe{kind}" for kind in (
            "CapacityReservations", "Images", "Instances", "InstanceTypeOfferings", "InstanceTypes", "LaunchTemplates",
            "SecurityGroups", "SpotPriceHistory", "Subnets", "InstanceStatus",
        )
    ]  # fmt: skip
    run, template = ["ec2:RunInstances", "ec2:CreateFleet"], f"{ec2}:*:launch-template/*"
    return [
        statement("UseForInstances", run, used),
        statement("UseOwnTemplates", run, [template], tagged),
        statement("StartTagged", [*run, "ec2:CreateLaunchTemplate"], made, asked),
        statement("TagAtStart", ["ec2:CreateTags"], made, {
            **asked, "StringEquals": {**asked["StringEquals"], "ec2:CreateAction": [
                "RunInstances", "CreateFleet", "CreateLaunchTemplate",
            ]},
        }),
        statement("TagOwn", ["ec2:CreateTags"], [f"{ec2}:*:instance/*"], {
            **tagged, "ForAllValues:StringEquals": {"aws:TagKeys": ["karpenter.sh/nodeclaim", "Name"]},
        }),
        statement("EndOwn", ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
                  [f"{ec2}:*:instance/*", template], tagged),
        statement("Look", describe, ["*"], in_region),
        statement("Prices", ["pricing:GetProducts"], ["*"]),
        statement("Images", ["ssm:GetParameter"],
                  [f"arn:{place.partition}:ssm:{place.region}::parameter/aws/service/*"]),
        statement("Interruptions", ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"], [queue]),
        *_profiles(place, owned, args["node_role"]),
        statement("Cluster", ["eks:DescribeCluster"], [place.arn("eks", f"cluster/{place.cluster}")]),
    ]  # fmt: skip


def _profiles(place: Place, owned: str, node_role: pulumi.Input[str]) -> list[dict[str, Any]]:
    """Return what the controller may do with the profiles by which instances get the nodes' role."""
    profile = place.arn("iam", "instance-profile/*", everywhere=True)
    profiles = {f"aws:RequestTag/{owned}": "owned", "aws:RequestTag/topology.kubernetes.io/region": place.region}
    own_profiles = {key.replace("Request", "Resource", 1): value for key, value in profiles.items()}
    return [
        statement("GiveRole", ["iam:PassRole"], [node_role],
                  {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
        statement("MakeProfiles", ["iam:CreateInstanceProfile"], [profile],
                  {"StringEquals": profiles, "StringLike": {f"aws:RequestTag/{_CLASS}": "*"}}),
        statement("TagProfiles", ["iam:TagInstanceProfile"], [profile],
                  {"StringEquals": {**own_profiles, **profiles}, "StringLike": {
                      f"aws:ResourceTag/{_CLASS}": "*", f"aws:RequestTag/{_CLASS}": "*"}}),
        statement("ChangeProfiles", [
            "iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile",
        ], [profile], {"StringEquals": own_profiles, "StringLike": {f"aws:ResourceTag/{_CLASS}": "*"}}),
        statement("LookAtProfiles", ["iam:GetInstanceProfile"], [profile]),
        statement("ListProfiles", ["iam:ListInstanceProfiles"], ["*"]),
    ]  # fmt: skip
