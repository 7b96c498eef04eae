"""The same objects as users write them without components: the typed SDK, one resource after the other."""

import pulumi
import pulumi_kubernetes as k8s

# What the roles may do is a table, and no part of the comparison.
from components.cluster.rights import RIGHTS

API = "rbac.authorization.k8s.io"
GROUPS = {"developers": "ml-engineers", "operators": "platform-team"}
config = pulumi.Config()
run = config.require("run")
side = pulumi.get_project()
provider = k8s.Provider("cluster", context=config.require("context"), kubeconfig="", enable_config_map_mutable=True)
opts = pulumi.ResourceOptions(provider=provider)


def declare(tenant: str, purpose: str) -> None:
    """Declare a namespace and what belongs into it."""
    title = f"{tenant}-{purpose}"
    namespace = k8s.core.v1.Namespace(
        title,
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=title,
            labels={
                "stellwerk.dev/environment": tenant,
                "stellwerk.dev/purpose": purpose,
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        ),
        opts=opts,
    )
    limit(title, namespace)
    k8s.networking.v1.NetworkPolicy(
        f"{title}-deny",
        metadata=k8s.meta.v1.ObjectMetaArgs(name="default-deny", namespace=namespace.metadata.name),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Ingress"]
        ),
        opts=opts,
    )
    for role, group in GROUPS.items():
        bind(title, purpose, namespace, role, group)


def limit(title: str, namespace: k8s.core.v1.Namespace) -> None:
    """Declare what the pods of a namespace may use."""
    k8s.core.v1.ResourceQuota(
        f"{title}-quota",
        metadata=k8s.meta.v1.ObjectMetaArgs(name="quota", namespace=namespace.metadata.name),
        spec=k8s.core.v1.ResourceQuotaSpecArgs(
            hard={
                "requests.cpu": "4",
                "requests.memory": "6Gi",
                "requests.storage": "40Gi",
                "pods": "40",
                "limits.ephemeral-storage": "320Gi",
                "services.nodeports": "0",
            }
        ),
        opts=opts,
    )
    k8s.core.v1.LimitRange(
        f"{title}-defaults",
        metadata=k8s.meta.v1.ObjectMetaArgs(name="defaults", namespace=namespace.metadata.name),
        spec=k8s.core.v1.LimitRangeSpecArgs(
            limits=[
                k8s.core.v1.LimitRangeItemArgs(
                    type="Container",
                    default={"memory": "256Mi", "ephemeral-storage": "4Gi"},
                    default_request={"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "0"},
                )
            ]
        ),
        opts=opts,
    )


def bind(title: str, purpose: str, namespace: k8s.core.v1.Namespace, role: str, group: str) -> None:
    """Declare who may do what in a namespace."""
    metadata = k8s.meta.v1.ObjectMetaArgs(name=role, namespace=namespace.metadata.name)
    rights = k8s.rbac.v1.Role(
        f"{title}-{role}",
        metadata=metadata,
        rules=[
            k8s.rbac.v1.PolicyRuleArgs(
                api_groups=[rule.group],
                resources=list(rule.resources),
                verbs=list(rule.verbs),
                resource_names=list(rule.names) or None,
            )
            for rule in RIGHTS[role][purpose]
        ],
        opts=opts,
    )
    k8s.rbac.v1.RoleBinding(
        f"{title}-{role}-binding",
        metadata=metadata,
        role_ref=k8s.rbac.v1.RoleRefArgs(api_group=API, kind="Role", name=role),
        subjects=[k8s.rbac.v1.SubjectArgs(api_group=API, kind="Group", name=group)],
        opts=pulumi.ResourceOptions(provider=provider, depends_on=[rights]),
    )


for number in range(config.require_int("tenants")):
    for purpose in ("platform", "training", "serving"):
        declare(f"{run}-{side}-{number}", purpose)
