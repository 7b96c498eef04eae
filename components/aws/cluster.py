"""The control plane of a cluster in AWS: who reaches it, who may use it, what it encrypts and logs."""

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi
from pulumi_aws import eks, iam

from components.aws.kit import Place, child, key, log_group, role, service_trust

# Amazon's name of a policy by ours.
POLICIES = {
    "clusterAdmin": "AmazonEKSClusterAdminPolicy",
    "admin": "AmazonEKSAdminPolicy",
    "edit": "AmazonEKSEditPolicy",
    "view": "AmazonEKSViewPolicy",
}
_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")


class AccessArgs(TypedDict):
    """Somebody who may use the cluster."""

    principal: str
    """ARN of a role or a user of IAM."""
    policy: str
    """clusterAdmin, admin, edit or view."""


class ControlPlaneArgs(TypedDict):
    """Arguments of ControlPlane."""

    place: Place
    """The cluster, its account and region."""
    version: str
    """Version of Kubernetes."""
    subnets: Sequence[pulumi.Input[str]]
    """Ids of the private subnets."""
    public_from: Sequence[str]
    """Networks that reach the API server over the internet; none when empty."""
    access: Sequence[AccessArgs]
    """Who may use the cluster."""
    log_key: pulumi.Input[str]
    """ARN of the key of logs."""


class ControlPlane(pulumi.ComponentResource):
    """The cluster with encrypted Secrets, all its logs, access entries, and an issuer of identities for pods."""

    name: pulumi.Output[str]
    """Name of the cluster."""
    endpoint: pulumi.Output[str]
    """URL of the API server."""
    security_group: pulumi.Output[str]
    """Id of the security group of control plane and nodes."""
    issuer: pulumi.Output[str]
    """The issuer of service accounts' tokens without https://, as trust policies name it."""
    issuer_arn: pulumi.Output[str]
    """ARN of the issuer in IAM."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig whose login is that of whoever uses it in AWS: it holds no secret."""

    def __init__(self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:aws:ControlPlane", name, None, opts)
        place = args["place"]
        cluster = self._cluster(name, args)
        for entry in args["access"]:
            _access(f"{name}-{_title(entry['principal'])}", entry, place, cluster, self)
        issuer = cluster.identities.apply(_issuer)
        provider = iam.OpenIdConnectProvider(name, url=issuer, client_id_lists=["sts.amazonaws.com"], opts=child(self))
        self.name, self.endpoint = cluster.name, cluster.endpoint
        self.security_group = cluster.vpc_config.apply(lambda config: config.cluster_security_group_id or "")
        self.issuer = issuer.apply(lambda url: url.removeprefix("https://"))
        self.issuer_arn = provider.arn
        authority = cluster.certificate_authority.apply(lambda known: known.data or "")
        self.kubeconfig = pulumi.Output.all(cluster.endpoint, authority).apply(
            lambda known: kubeconfig(place, known[0], known[1])
        )
        self.register_outputs({"name": self.name})

    def _cluster(self, name: str, args: ControlPlaneArgs) -> eks.Cluster:
        place = args["place"]
        trust = service_trust("eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")
        policy = f"arn:{place.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
        taken = role(f"{name}-control-plane", trust, self, [policy])
        secrets = key(f"{name}-secrets", place, "Secrets of Kubernetes", self)
        # It writes there from its first minute on.
        logs = log_group(f"{name}-control-plane", f"/aws/eks/{place.cluster}/cluster", place, args["log_key"], self)
        return eks.Cluster(
            name,
            name=place.cluster,
            version=args["version"],
            role_arn=taken.arn,
            access_config=eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            vpc_config=eks.ClusterVpcConfigArgs(
                subnet_ids=args["subnets"],
                endpoint_private_access=True,
                endpoint_public_access=bool(args["public_from"]),
                public_access_cidrs=args["public_from"] or None,
            ),
            encryption_config=eks.ClusterEncryptionConfigArgs(
                provider=eks.ClusterEncryptionConfigProviderArgs(key_arn=secrets.arn), resources=["secrets"]
            ),
            enabled_cluster_log_types=list(_LOGS),
            deletion_protection=True,
            opts=child(self, [logs], protect=True),
        )


def _issuer(identities: Sequence[eks.outputs.ClusterIdentity]) -> str:
    """Return the URL of the issuer of service accounts' tokens."""
    return next(each.issuer or "" for identity in identities for each in identity.oidcs or ())


def kubeconfig(place: Place, endpoint: str, authority: str) -> str:
    """Return a kubeconfig whose context is called like the cluster; `authority` is base64 of PEM."""
    login = ["--region", place.region, "eks", "get-token", "--cluster-name", place.cluster, "--output", "json"]
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": login,
        "interactiveMode": "Never",
    }
    named = {"name": place.cluster}
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": place.cluster,
        "clusters": [{**named, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "contexts": [{**named, "context": {"cluster": place.cluster, "user": place.cluster}}],
        "users": [{**named, "user": {"exec": command}}],
    }
    return json.dumps(made, sort_keys=True)


def _access(name: str, entry: AccessArgs, place: Place, cluster: eks.Cluster, parent: pulumi.Resource) -> None:
    """Declare an access entry with its policy in the whole cluster."""
    made = eks.AccessEntry(
        name, cluster_name=cluster.name, principal_arn=entry["principal"], type="STANDARD", opts=child(parent)
    )
    eks.AccessPolicyAssociation(
        name,
        cluster_name=cluster.name,
        principal_arn=made.principal_arn,
        policy_arn=f"arn:{place.partition}:eks::aws:cluster-access-policy/{POLICIES[entry['policy']]}",
        access_scope=eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
        opts=child(parent),
    )


def _title(principal: str) -> str:
    """Return what tells principals of one account apart: `role-deployer`."""
    return principal.rpartition(":")[2].replace("/", "-")


def addon(
    name: str,
    title: str,
    cluster: pulumi.Input[str],
    parent: pulumi.Resource,
    identity: Mapping[str, pulumi.Input[str]] | None = None,
    settings: Mapping[str, object] | None = None,
    depends_on: Sequence[pulumi.Resource] | None = None,
) -> eks.Addon:
    """Declare an add-on of Amazon's; `identity` are the roles of its service accounts."""
    associations = [
        eks.AddonPodIdentityAssociationArgs(service_account=account, role_arn=arn)
        for account, arn in (identity or {}).items()
    ]
    return eks.Addon(
        name,
        cluster_name=cluster,
        addon_name=title,
        pod_identity_associations=associations or None,
        configuration_values=json.dumps(settings, sort_keys=True) if settings else None,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="PRESERVE",
        opts=child(parent, depends_on),
    )
