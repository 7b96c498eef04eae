"""An environment's namespaces with their limits, rights and walls."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi
from pulumi_kubernetes import core, meta, networking, rbac

from components.pods import child


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
    developers: NotRequired[Sequence[str]]
    """Groups that may look at everything but secrets."""
    operators: NotRequired[Sequence[str]]
    """Groups that may change everything in the namespaces."""


class Tenant(pulumi.ComponentResource):
    """Namespaces under Pod Security "restricted", with quota, roles and a default-deny network policy each."""

    namespaces: Mapping[str, pulumi.Output[str]]
    """Name of each namespace by purpose."""

    def __init__(self, name: str, args: TenantArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:Tenant", name, None, opts)
        created = {purpose: self._namespace(name, purpose, args) for purpose in args["namespaces"]}
        self.namespaces = {purpose: namespace.metadata.name for purpose, namespace in created.items()}
        self.register_outputs({"namespaces": self.namespaces})

    def _namespace(self, name: str, purpose: str, args: TenantArgs) -> core.v1.Namespace:
        title = f"{args['environment']}-{purpose}"
        namespace = core.v1.Namespace(
            f"{name}-{purpose}",
            metadata=meta.v1.ObjectMetaArgs(
                name=title,
                labels={
                    "stellwerk.dev/environment": args["environment"],
                    "stellwerk.dev/purpose": purpose,
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/warn": "restricted",
                },
            ),
            opts=child(self),
        )
        inside = child(self, [namespace])
        quota = args["quota"]
        core.v1.ResourceQuota(
            f"{name}-{purpose}-quota",
            metadata=meta.v1.ObjectMetaArgs(name="quota", namespace=title),
            spec=core.v1.ResourceQuotaSpecArgs(
                hard={
                    "requests.cpu": quota["cpu"],
                    "requests.memory": quota["memory"],
                    "requests.storage": quota["storage"],
                    "pods": str(quota["pods"]),
                }
            ),
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
                        default={"memory": "256Mi"},
                        default_request={"cpu": "50m", "memory": "64Mi"},
                    )
                ]
            ),
            opts=inside,
        )
        networking.v1.NetworkPolicy(
            f"{name}-{purpose}-deny",
            metadata=meta.v1.ObjectMetaArgs(name="default-deny", namespace=title),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.v1.LabelSelectorArgs(), policy_types=["Ingress"]
            ),
            opts=inside,
        )
        for role, groups in (("view", args.get("developers", ())), ("edit", args.get("operators", ()))):
            self._binding(f"{name}-{purpose}-{role}", title, role, groups, inside)
        return namespace

    def _binding(
        self, name: str, namespace: str, role: str, groups: Sequence[str], opts: pulumi.ResourceOptions
    ) -> None:
        if not groups:
            return
        rbac.v1.RoleBinding(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=role, namespace=namespace),
            role_ref=rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role),
            subjects=[
                rbac.v1.SubjectArgs(api_group="rbac.authorization.k8s.io", kind="Group", name=group) for group in groups
            ],
            opts=opts,
        )
