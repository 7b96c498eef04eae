"""The AWS Load Balancer Controller: load balancers for Services and Gateways, and for the cluster's own alone."""

from collections.abc import Sequence
from typing import Any, TypedDict

import pulumi
from pulumi_aws import eks

from components.aws.chart import Release
from components.aws.kit import Place, child, role, statement
from components.aws.nodes import pod_trust
from components.kit.kubernetes import Provider

NAMESPACE, _NAME = "kube-system", "aws-load-balancer-controller"
_REPOSITORY = "https://aws.github.io/eks-charts"
# The tag that the controller gives to all that it makes.
_TAG = "elbv2.k8s.aws/cluster"
# What it looks at, and what it changes of its own.
_LOOK = [
    "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags",
    "ec2:DescribeVpcs", "ec2:GetCoipPoolUsage", "ec2:GetSecurityGroupsForVpc",
    "elasticloadbalancing:DescribeCapacityReservation", "elasticloadbalancing:DescribeListenerAttributes",
    "elasticloadbalancing:DescribeListenerCertificates", "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeSSLPolicies",
    "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
    "acm:ListCertificates", "acm:DescribeCertificate",
]  # fmt: skip
_CHANGE = [f"elasticloadbalancing:{action}" for action in (
    "ModifyLoadBalancerAttributes", "SetIpAddressType", "SetSecurityGroups", "SetSubnets", "DeleteLoadBalancer",
    "ModifyTargetGroup", "ModifyTargetGroupAttributes", "DeleteTargetGroup", "ModifyListener",
    "ModifyListenerAttributes", "DeleteListener", "ModifyRule", "DeleteRule", "AddListenerCertificates",
    "RemoveListenerCertificates", "AddTags", "RemoveTags", "CreateListener", "CreateRule",
    "RegisterTargets", "DeregisterTargets",
)]  # fmt: skip


class LoadBalancersArgs(TypedDict):
    """Arguments of LoadBalancers."""

    place: Place
    """The cluster, its account and region."""
    cluster: pulumi.Input[str]
    """Name of the cluster."""
    vpc: pulumi.Input[str]
    """Id of the VPC: the pods do not ask their node for it."""
    version: str
    """Version of the chart."""
    provider: Provider
    """Provider of the cluster."""
    nodes: Sequence[pulumi.Resource]
    """The nodes it runs on."""


class LoadBalancers(pulumi.ComponentResource):
    """The controller, in two replicas, with rights on what carries the cluster's tag."""

    def __init__(self, name: str, args: LoadBalancersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:aws:LoadBalancers", name, None, opts)
        place = args["place"]
        controller = role(f"{name}-controller", pod_trust(), self, inline=statements(place))
        taken = eks.PodIdentityAssociation(
            name,
            cluster_name=args["cluster"],
            namespace=NAMESPACE,
            service_account=_NAME,
            role_arn=controller.arn,
            opts=child(self),
        )
        settings = {
            "clusterName": args["cluster"],
            "region": place.region,
            "vpcId": args["vpc"],
            "serviceAccount": {"name": _NAME},
            "replicaCount": 2,
        }
        waits = [taken, *args["nodes"]]
        Release(name, _NAME, args["version"], NAMESPACE, settings, args["provider"], self, waits, _REPOSITORY)
        self.register_outputs({})


def statements(place: Place) -> list[dict[str, Any]]:
    """Return what the controller may do: look, make what it tags with the cluster's name, change what has that tag."""
    asked = {"StringEquals": {f"aws:RequestTag/{_TAG}": place.cluster}}
    owned = {"StringEquals": {f"aws:ResourceTag/{_TAG}": place.cluster}}
    in_region = {"StringEquals": {"aws:RequestedRegion": place.region}}
    group = f"arn:{place.partition}:ec2:{place.region}:*:security-group/*"
    balancers = place.arn("elasticloadbalancing", "loadbalancer/*/*")
    targets = place.arn("elasticloadbalancing", "targetgroup/*/*")
    listeners = [place.arn("elasticloadbalancing", f"{kind}/*/*/*") for kind in ("listener", "listener-rule")]
    every = [balancers, targets, *listeners]
    own = {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}}
    linked = place.arn(
        "iam", "role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing",
        everywhere=True,
    )  # fmt: skip
    created = {"StringEquals": {"ec2:CreateAction": "CreateSecurityGroup", **asked["StringEquals"]}}
    return [
        statement("ServiceRole", ["iam:CreateServiceLinkedRole"], [linked], own),
        statement("Look", _LOOK, ["*"], in_region),
        statement("MakeGroups", ["ec2:CreateSecurityGroup"], [group], asked),
        statement("MakeGroupsIn", ["ec2:CreateSecurityGroup"],
                  [f"arn:{place.partition}:ec2:{place.region}:*:vpc/*"]),
        statement("TagGroups", ["ec2:CreateTags"], [group], created),
        statement("RetagGroups", ["ec2:CreateTags", "ec2:DeleteTags"], [group], owned),
        statement("ChangeGroups", [
            "ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:DeleteSecurityGroup",
        ], [group], owned),
        # Nodes have the group of the cluster, which the controller has not made.
        statement("LetIn", ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"], [group],
                  {"StringEquals": {"aws:ResourceTag/aws:eks:cluster-name": place.cluster}}),
        statement("Make", [
            "elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup",
            "elasticloadbalancing:AddTags",
        ], every, asked),
        statement("ChangeOwn", _CHANGE, every, owned),
    ]  # fmt: skip
