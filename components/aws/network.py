"""The network of a cluster in AWS: private subnets for nodes, public ones for gateways and load balancers."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import TypedDict

import pulumi
from pulumi_aws import ec2

from components.aws.kit import Place, child, log_group, role, service_trust, statement

_EVERYWHERE = "0.0.0.0/0"
# Nodes reach these without the internet; S3 costs nothing this way.
_SERVICES = ("ecr.api", "ecr.dkr", "sts", "logs")


class NetworkArgs(TypedDict):
    """Arguments of Network."""

    place: Place
    """The cluster, its account and region."""
    cidr: str
    """IPv4 network of /16 to /20."""
    zones: Sequence[str]
    """2 or 3 availability zones."""
    gateway_per_zone: bool
    """Whether each zone has a NAT gateway of its own, or the first one's serves all."""
    log_key: pulumi.Input[str]
    """ARN of the key of flow logs."""


def subnets(cidr: str, zones: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the private and the public network by zone: a quarter each, and a sixteenth of the last quarter."""
    quarters = list(IPv4Network(cidr).subnets(prefixlen_diff=2))
    public = quarters[3].subnets(prefixlen_diff=4)
    return {zone: (str(private), str(next(public))) for zone, private in zip(zones, quarters, strict=False)}


class Network(pulumi.ComponentResource):
    """VPC, subnets, NAT gateways, endpoints of AWS's own services, flow logs."""

    vpc_id: pulumi.Output[str]
    """Id of the VPC."""
    private_subnets: Sequence[pulumi.Output[str]]
    """Ids of the subnets of nodes."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:aws:Network", name, None, opts)
        place, networks = args["place"], subnets(args["cidr"], args["zones"])
        vpc = ec2.Vpc(
            name,
            cidr_block=args["cidr"],
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=child(self),
        )
        # The default group would let everything in and out.
        ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, tags={"Name": f"{name}-unused"}, opts=child(self))
        private, public = self._subnets(name, vpc, networks, place)
        tables = self._routes(name, vpc, private, public, args["gateway_per_zone"])
        self._endpoints(name, args, vpc, private, tables)
        self._flow_logs(name, args, vpc)
        self.vpc_id, self.private_subnets = vpc.id, [subnet.id for subnet in private.values()]
        self.register_outputs({"vpc_id": self.vpc_id})

    def _subnets(
        self, name: str, vpc: ec2.Vpc, networks: Mapping[str, tuple[str, str]], place: Place
    ) -> tuple[dict[str, ec2.Subnet], dict[str, ec2.Subnet]]:
        """Declare a private and a public subnet per zone, with the tags that controllers choose them by."""
        private: dict[str, ec2.Subnet] = {}
        public: dict[str, ec2.Subnet] = {}
        shared = {f"kubernetes.io/cluster/{place.cluster}": "shared"}
        nodes = {"kubernetes.io/role/internal-elb": "1", "karpenter.sh/discovery": place.cluster}
        for zone, (inner, outer) in networks.items():
            for made, kind, block, tags in (
                (private, "private", inner, nodes),
                (public, "public", outer, {"kubernetes.io/role/elb": "1"}),
            ):
                title = f"{name}-{kind}-{zone}"
                made[zone] = ec2.Subnet(
                    title,
                    vpc_id=vpc.id,
                    cidr_block=block,
                    availability_zone=zone,
                    map_public_ip_on_launch=False,
                    tags={"Name": title, **shared, **tags},
                    opts=child(self),
                )
        return private, public

    def _routes(
        self,
        name: str,
        vpc: ec2.Vpc,
        private: Mapping[str, ec2.Subnet],
        public: Mapping[str, ec2.Subnet],
        per_zone: bool,
    ) -> list[ec2.RouteTable]:
        """Declare the ways out, and return the route tables of the private subnets."""
        internet = ec2.InternetGateway(name, vpc_id=vpc.id, tags={"Name": name}, opts=child(self))
        outer = ec2.RouteTable(f"{name}-public", vpc_id=vpc.id, tags={"Name": f"{name}-public"}, opts=child(self))
        ec2.Route(
            f"{name}-public",
            route_table_id=outer.id,
            destination_cidr_block=_EVERYWHERE,
            gateway_id=internet.id,
            opts=child(self),
        )
        gateways: list[ec2.NatGateway] = []
        tables: list[ec2.RouteTable] = []
        for zone, subnet in public.items():
            title = f"{name}-{zone}"
            ec2.RouteTableAssociation(f"{title}-public", subnet_id=subnet.id, route_table_id=outer.id, opts=child(self))
            if per_zone or not gateways:
                address = ec2.Eip(title, domain="vpc", tags={"Name": title}, opts=child(self, [internet]))
                gateways.append(
                    ec2.NatGateway(
                        title,
                        allocation_id=address.id,
                        subnet_id=subnet.id,
                        tags={"Name": title},
                        opts=child(self, [internet]),
                    )
                )
            table = ec2.RouteTable(title, vpc_id=vpc.id, tags={"Name": title}, opts=child(self))
            ec2.Route(
                title,
                route_table_id=table.id,
                destination_cidr_block=_EVERYWHERE,
                nat_gateway_id=gateways[-1].id,
                opts=child(self),
            )
            ec2.RouteTableAssociation(
                f"{title}-private", subnet_id=private[zone].id, route_table_id=table.id, opts=child(self)
            )
            tables.append(table)
        return tables

    def _endpoints(
        self,
        name: str,
        args: NetworkArgs,
        vpc: ec2.Vpc,
        private: Mapping[str, ec2.Subnet],
        tables: Sequence[ec2.RouteTable],
    ) -> None:
        """Declare how nodes reach AWS's own services without the internet."""
        service = f"com.amazonaws.{args['place'].region}"
        ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"{service}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            tags={"Name": f"{name}-s3"},
            opts=child(self),
        )
        group = ec2.SecurityGroup(
            f"{name}-endpoints",
            vpc_id=vpc.id,
            description="HTTPS from the network of the cluster",
            ingress=[
                ec2.SecurityGroupIngressArgs(
                    description="HTTPS from the network",
                    protocol="tcp",
                    from_port=443,
                    to_port=443,
                    cidr_blocks=[args["cidr"]],
                )
            ],
            tags={"Name": f"{name}-endpoints"},
            opts=child(self),
        )
        for each in _SERVICES:
            title = f"{name}-{each.replace('.', '-')}"
            ec2.VpcEndpoint(
                title,
                vpc_id=vpc.id,
                service_name=f"{service}.{each}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in private.values()],
                security_group_ids=[group.id],
                tags={"Name": title},
                opts=child(self),
            )

    def _flow_logs(self, name: str, args: NetworkArgs, vpc: ec2.Vpc) -> None:
        place = args["place"]
        title = f"/aws/vpc/{place.cluster}/flow-logs"
        group = log_group(f"{name}-flow-logs", title, place, args["log_key"], self)
        actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        writes = statement("Write", actions, [place.arn("logs", f"log-group:{title}:*")])
        trust = service_trust(
            "vpc-flow-logs.amazonaws.com", condition={"StringEquals": {"aws:SourceAccount": place.account}}
        )
        writer = role(f"{name}-flow-logs", trust, self, inline=[writes])
        ec2.FlowLog(
            name,
            vpc_id=vpc.id,
            traffic_type="ALL",
            log_destination=group.arn,
            iam_role_arn=writer.arn,
            tags={"Name": name},
            opts=child(self),
        )
