"""The same objects as users write them without components: the typed SDK, one resource after the other."""

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
run = config.require("run")
side = pulumi.get_project()
provider = k8s.Provider("cluster", context=config.require("context"), enable_config_map_mutable=True)
opts = pulumi.ResourceOptions(provider=provider)


def declare(purpose: str) -> None:
    """Declare a namespace and what belongs into it."""
    namespace = k8s.core.v1.Namespace(
        purpose,
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=f"{run}-{purpose}",
            labels={
                "stellwerk.dev/environment": run,
                "stellwerk.dev/purpose": purpose,
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        ),
        opts=opts,
    )
    k8s.core.v1.ResourceQuota(
        f"{purpose}-quota",
        metadata=k8s.meta.v1.ObjectMetaArgs(name="quota", namespace=namespace.metadata.name),
        spec=k8s.core.v1.ResourceQuotaSpecArgs(
            hard={"requests.cpu": "4", "requests.memory": "6Gi", "requests.storage": "40Gi", "pods": "40"}
        ),
        opts=opts,
    )
    k8s.core.v1.LimitRange(
        f"{purpose}-defaults",
        metadata=k8s.meta.v1.ObjectMetaArgs(name="defaults", namespace=namespace.metadata.name),
        spec=k8s.core.v1.LimitRangeSpecArgs(
            limits=[
                k8s.core.v1.LimitRangeItemArgs(
                    type="Container", default={"memory": "256Mi"}, default_request={"cpu": "50m", "memory": "64Mi"}
                )
            ]
        ),
        opts=opts,
    )
    k8s.networking.v1.NetworkPolicy(
        f"{purpose}-deny",
        metadata=k8s.meta.v1.ObjectMetaArgs(name="default-deny", namespace=namespace.metadata.name),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Ingress"]
        ),
        opts=opts,
    )
    bind(purpose, namespace)


def bind(purpose: str, namespace: k8s.core.v1.Namespace) -> None:
    """Declare who may do what in a namespace."""
    for role, group in (("view", "ml-engineers"), ("edit", "platform-team")):
        k8s.rbac.v1.RoleBinding(
            f"{purpose}-{role}",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=role, namespace=namespace.metadata.name),
            role_ref=k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role),
            subjects=[k8s.rbac.v1.SubjectArgs(api_group="rbac.authorization.k8s.io", kind="Group", name=group)],
            opts=opts,
        )


for number in range(config.require_int("tenants")):
    for purpose in ("platform", "training", "serving"):
        declare(f"{side}-{number}-{purpose}")
