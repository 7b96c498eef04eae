"""An environment's namespaces with their limits, rights and walls."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.cluster.rights import RBAC_API, RIGHTS
from components.kit.kubernetes import core, meta, rbac
from components.kit.names import namespace_labels
from components.kit.network import deny_ingress
from components.kit.options import child

# What a container that says nothing may write to its own file system, its logs and its scratch folders.
_SCRATCH_GIB = 4


class QuotaArgs(TypedDict):
    """What each namespace may use."""

    cpu: str
    """CPU cores requested by all pods, as text."""
    memory: str
    """Memory requested by all pods, in bytes with a binary unit."""
    pods: int
    """Number of pods."""
    storage: str
    """Storage requested by all claims, in bytes with a binary unit."""


class TenantArgs(TypedDict):
    """Arguments of Tenant."""

    environment: str
    """Name of the environment; every namespace carries it as a label."""
    namespaces: Sequence[str]
    """Purposes of the namespaces: `platform` gives `<environment>-platform`."""
    quota: QuotaArgs
    """Limits of each namespace."""
    node_ports: NotRequired[Mapping[str, int]]
    """Number of node ports by purpose; none where absent."""
    developers: NotRequired[Sequence[str]]
    """Groups that look at everything but Secrets and run training Jobs (components/cluster/rights.py)."""
    operators: NotRequired[Sequence[str]]
    """Groups that keep what runs running: they restart, scale and change models (components/cluster/rights.py)."""


class Tenant(pulumi.ComponentResource):
    """Namespaces under Pod Security "restricted", with quota, roles and a default-deny network policy each."""

    namespaces: Mapping[str, pulumi.Output[str]]
    """Name of each namespace by purpose, known once its quota holds."""

    def __init__(self, name: str, args: TenantArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:Tenant", name, None, opts)
        self.namespaces = {purpose: self._namespace(name, purpose, args) for purpose in args["namespaces"]}
        self.register_outputs({"namespaces": self.namespaces})

    def _namespace(self, name: str, purpose: str, args: TenantArgs) -> pulumi.Output[str]:
        title = f"{args['environment']}-{purpose}"
        namespace = core.v1.Namespace(
            f"{name}-{purpose}",
            metadata=meta.v1.ObjectMetaArgs(
                name=title,
                labels=namespace_labels(args["environment"], purpose),
            ),
            opts=child(self),
        )
        inside = child(self, [namespace])
        quota = core.v1.ResourceQuota(
            f"{name}-{purpose}-quota",
            metadata=meta.v1.ObjectMetaArgs(name="quota", namespace=title),
            spec=core.v1.ResourceQuotaSpecArgs(hard=_limits(args["quota"], args.get("node_ports", {}).get(purpose, 0))),
            opts=inside,
        )
        # With a quota every container must name its requests: short-lived helpers get these.
        core.v1.LimitRange(
            f"{name}-{purpose}-defaults",
            metadata=meta.v1.ObjectMetaArgs(name="defaults", namespace=title),
            spec=core.v1.LimitRangeSpecArgs(
                limits=[
                    core.v1.LimitRangeItemArgs(
                        type="Container",
                        default={"memory": "256Mi", "ephemeral-storage": f"{_SCRATCH_GIB}Gi"},
                        # Nothing is set aside on the node: the limit bounds what a pod may fill.
                        default_request={"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "0"},
                    )
                ]
            ),
            opts=inside,
        )
        deny_ingress(f"{name}-{purpose}-deny", title, inside)
        for role, groups in (("developers", args.get("developers", ())), ("operators", args.get("operators", ()))):
            if groups and purpose in RIGHTS[role]:
                self._role(f"{name}-{purpose}-{role}", namespace, role, purpose, groups)
        # What an update adds may need what it adds to the quota: a Service or a claim past the old one is refused.
        return pulumi.Output.all(namespace.metadata.name, quota.urn).apply(lambda known: str(known[0]))

    def _role(self, name: str, namespace: core.v1.Namespace, role: str, purpose: str, groups: Sequence[str]) -> None:
        """Declare the role's rights and who has them; other than cluster roles, two environments share none of it."""
        metadata = meta.v1.ObjectMetaArgs(name=role, namespace=namespace.metadata.name)
        rights = rbac.v1.Role(
            name,
            metadata=metadata,
            rules=[
                rbac.v1.PolicyRuleArgs(
                    api_groups=[rule.group],
                    resources=list(rule.resources),
                    verbs=list(rule.verbs),
                    resource_names=list(rule.names) or None,
                )
                for rule in RIGHTS[role][purpose]
            ],
            opts=child(self, [namespace]),
        )
        rbac.v1.RoleBinding(
            f"{name}-binding",
            metadata=metadata,
            role_ref=rbac.v1.RoleRefArgs(api_group=RBAC_API, kind="Role", name=role),
            subjects=[rbac.v1.SubjectArgs(api_group=RBAC_API, kind="Group", name=group) for group in groups],
            # Who is no administrator may bind only a role that exists, with rights of their own.
            opts=child(self, [rights]),
        )


def _limits(quota: QuotaArgs, node_ports: int) -> dict[str, str]:
    """Return what the pods, claims and services of one namespace may take together."""
    return {
        "requests.cpu": quota["cpu"],
        "requests.memory": quota["memory"],
        "requests.storage": quota["storage"],
        "pods": str(quota["pods"]),
        # Two containers per pod by their default: who asks for more is bounded, too.
        "limits.ephemeral-storage": f"{quota['pods'] * 2 * _SCRATCH_GIB}Gi",
        "services.nodeports": str(node_ports),
    }
