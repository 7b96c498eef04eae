"""Composes a cluster in AWS: network, control plane, nodes, controllers, repositories, a bucket per environment."""

from typing import TYPE_CHECKING, Any

import pulumi

from infra.contract.cluster import EksCluster, Identity, NatGateways, NodeGroup
from infra.contract.fields import CapacityType
from infra.targets.joined import Outputs

if TYPE_CHECKING:
    import pulumi_aws

    from components.aws.cluster import ControlPlane
    from components.aws.kit import Place
    from components.aws.network import Network
    from components.aws.nodes import NodeGroupArgs, Nodes

_TAG = "stellwerk.dev/cluster"


def compose(cluster: EksCluster) -> None:
    """Declare every resource of the cluster, and export what environments take of it."""
    # The SDK of AWS is loaded by the stacks that need it alone.
    import pulumi_aws

    from components.aws.cluster import ControlPlane
    from components.aws.kit import Place, log_key
    from components.aws.nodes import Nodes

    opts = pulumi.ResourceOptions(providers=[_provider(cluster)])
    place = Place(cluster.name, cluster.account, cluster.region, cluster.partition, cluster.logs.retention_days)
    home = _Home(cluster.name, opts)
    logs = log_key(f"{cluster.name}-logs", place, home)
    pulumi_aws.ebs.EncryptionByDefault(cluster.name, enabled=True, opts=pulumi.ResourceOptions(parent=home))
    network = _network(cluster, place, logs.arn, opts)
    plane = ControlPlane(
        cluster.name,
        {
            "place": place,
            "version": cluster.version,
            "subnets": network.private_subnets,
            "public_from": cluster.api.public_from,
            "access": [{"principal": each.principal, "policy": each.policy.value} for each in cluster.access],
            "log_key": logs.arn,
        },
        opts,
    )
    nodes = Nodes(
        cluster.name,
        {
            "place": place,
            "cluster": plane.name,
            "subnets": network.private_subnets,
            "groups": [_group(group) for group in cluster.node_groups],
        },
        opts,
    )
    _controllers(cluster, place, network, plane, nodes, opts)
    _export(cluster, place, plane, nodes, home, opts)


def _network(
    cluster: EksCluster, place: "Place", log_key: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> "Network":
    from components.aws.network import Network

    return Network(
        cluster.name,
        {
            "place": place,
            "cidr": cluster.network.cidr,
            "zones": cluster.network.zones,
            "gateway_per_zone": cluster.network.nat_gateways is NatGateways.PER_ZONE,
            "log_key": log_key,
        },
        opts,
    )


class _Home(pulumi.ComponentResource):
    """What belongs to no part of the cluster alone."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("stellwerk:aws:Cluster", name, None, opts)
        self.register_outputs({})


def _provider(cluster: EksCluster) -> "pulumi_aws.Provider":
    """Return the provider: it refuses every other account than the one that the values name."""
    import pulumi_aws

    return pulumi_aws.Provider(
        "aws",
        region=cluster.region,
        allowed_account_ids=[cluster.account],
        default_tags=pulumi_aws.ProviderDefaultTagsArgs(tags={**cluster.tags, _TAG: cluster.name}),
    )


def _group(group: NodeGroup) -> "NodeGroupArgs":
    return {
        "name": group.name,
        "instance_types": group.instance_types,
        "minimum": group.min,
        "maximum": group.max,
        "spot": group.capacity is CapacityType.SPOT,
        "disk_gib": group.disk_gib,
        "gpus": group.gpus,
    }


def _controllers(
    cluster: EksCluster,
    place: "Place",
    network: "Network",
    plane: "ControlPlane",
    nodes: "Nodes",
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare what runs in the cluster for all environments."""
    from components.kit.kubernetes import Provider

    if cluster.karpenter is None and cluster.load_balancer_controller is None:
        return
    provider = Provider("cluster", kubeconfig=plane.kubeconfig)
    if cluster.karpenter is not None:
        from components.aws.karpenter import Karpenter

        Karpenter(
            f"{cluster.name}-karpenter",
            {
                "place": place,
                "cluster": plane.name,
                "version": cluster.karpenter.version,
                "node_role": nodes.role_arn,
                "provider": provider,
                "nodes": nodes.groups,
            },
            opts,
        )
    if cluster.load_balancer_controller is not None:
        from components.aws.load_balancer import LoadBalancers

        LoadBalancers(
            f"{cluster.name}-load-balancers",
            {
                "place": place,
                "cluster": plane.name,
                "vpc": network.vpc_id,
                "version": cluster.load_balancer_controller.version,
                "provider": provider,
                "nodes": nodes.groups,
            },
            opts,
        )


def _export(
    cluster: EksCluster,
    place: "Place",
    plane: "ControlPlane",
    nodes: "Nodes",
    home: pulumi.Resource,
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare what environments and builds get, and export what they take it by."""
    from components.aws.repositories import Repositories

    environments = _stores(cluster, place, plane, home, opts)
    pulumi.export(Outputs.KUBECONFIG, plane.kubeconfig)
    pulumi.export(Outputs.ENVIRONMENTS, environments)
    pulumi.export(Outputs.NODE_ROLE, nodes.role_name)
    pulumi.export(Outputs.DISK_KEY, nodes.disk_key)
    if cluster.registry is not None:
        args: Any = {"place": place, "prefix": cluster.registry.prefix}
        pulumi.export(Outputs.REGISTRY, Repositories(cluster.name, args, opts).address)


def _stores(
    cluster: EksCluster, place: "Place", plane: "ControlPlane", home: pulumi.Resource, opts: pulumi.ResourceOptions
) -> dict[str, dict[str, "pulumi.Input[str]"]]:
    """Declare the bucket and the roles of each environment, and return them by its name."""
    from components.aws.storage import EnvironmentStore, accounts, log_bucket

    if not cluster.environments:
        return {}
    logs = log_bucket(f"{cluster.name}-access-logs", place, home)
    made: dict[str, dict[str, pulumi.Input[str]]] = {}
    for name, scope in cluster.scopes().items():
        tenant = cluster.environments[name]
        writers, readers = accounts(scope, tenant.models)
        irsa = tenant.identity is Identity.IRSA
        store = EnvironmentStore(
            f"{cluster.name}-{scope}",
            {
                "place": place,
                "bucket": tenant.bucket,
                "logs": logs.id,
                "writers": writers,
                "readers": readers,
                "issuer": {"name": plane.issuer, "arn": plane.issuer_arn} if irsa else None,
                "cluster": plane.name,
            },
            opts,
        )
        made[name] = {"bucket": tenant.bucket, "writer": store.writer, "reader": store.reader}
    return made
