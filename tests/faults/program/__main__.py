"""What the kill tests apply: a tenant of the product's own and some forty small objects in all; no pod runs."""

import os

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.tenant import Tenant
from components.kit.deletion import delete_with_namespaces
from infra.services.ownership.marks import mark_objects

GROUP = "rbac.authorization.k8s.io"


def declare(world: str, values: int, kind: int) -> None:
    """Declare the objects of one world: another `values` is an update of some, another `kind` a replacement."""
    provider = kubernetes.Provider(
        "cluster",
        context=os.environ["FAULTS_CONTEXT"],
        kubeconfig="",
        enable_config_map_mutable=True,
    )
    mark_objects()
    delete_with_namespaces()
    opts = pulumi.ResourceOptions(providers=[provider])
    quota = {"cpu": "2", "memory": "1Gi", "pods": 10 + values, "storage": "1Gi"}
    tenant = Tenant(
        "tenant",
        {
            "environment": world,
            "namespaces": ["platform", "serving"],
            "quota": quota,
            "developers": ["people"],
            "operators": ["operators"],
        },
        opts,
    )
    for purpose, namespace in tenant.namespaces.items():
        _settings(purpose, namespace, values, opts)
        _replaced(purpose, namespace, kind, opts)
    kubernetes.rbac.v1.ClusterRole(
        "reader",
        metadata={"name": f"{world}-reader"},
        rules=[{"api_groups": [""], "resources": ["configmaps"], "verbs": ["get", "list"][: 1 + values % 2]}],
        opts=opts,
    )
    pulumi.export("values", values)
    pulumi.export("kind", kind)


def _settings(purpose: str, namespace: pulumi.Output[str], values: int, opts: pulumi.ResourceOptions) -> None:
    """Declare what an update changes: half of the contents, and which of them exist."""
    inside = pulumi.ResourceOptions.merge(opts, None)
    for number in range(4):
        kubernetes.core.v1.ConfigMap(
            f"{purpose}-settings-{number}",
            metadata={"name": f"settings-{number}", "namespace": namespace},
            data={"value": str(values if number % 2 else number), "text": "x" * 2000},
            opts=inside,
        )
    for number in (values, values + 1):
        kubernetes.core.v1.ConfigMap(
            f"{purpose}-edition-{number}",
            metadata={"name": f"edition-{number}", "namespace": namespace},
            data={"edition": str(number)},
            opts=inside,
        )
    kubernetes.core.v1.Service(
        f"{purpose}-service",
        # Waiting would take ten seconds each time, for pods that never come.
        metadata={"name": "service", "namespace": namespace, "annotations": {"pulumi.com/skipAwait": "true"}},
        spec={"selector": {"app": "nobody"}, "ports": [{"port": 8000 + values}]},
        opts=inside,
    )


def _replaced(purpose: str, namespace: pulumi.Output[str], kind: int, opts: pulumi.ResourceOptions) -> None:
    """Declare what another kind makes anew: fields that cannot be changed, under names that stay."""
    rule = {"api_groups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    role = kubernetes.rbac.v1.Role(
        f"{purpose}-role", metadata={"name": "role", "namespace": namespace}, rules=[rule], opts=opts
    )
    kubernetes.core.v1.Secret(
        f"{purpose}-secret",
        metadata={"name": "secret", "namespace": namespace},
        type=f"stellwerk.dev/kind-{kind}",
        string_data={"word": "not very secret"},
        opts=opts,
    )
    kubernetes.rbac.v1.RoleBinding(
        f"{purpose}-binding",
        metadata={"name": "binding", "namespace": namespace},
        role_ref={"api_group": GROUP, "kind": "Role", "name": "role" if kind == 0 else f"role-{kind}"},
        subjects=[{"api_group": GROUP, "kind": "Group", "name": "people"}],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )
    labels = {"app": f"idle-{kind}"}
    kubernetes.apps.v1.Deployment(
        f"{purpose}-idle",
        metadata={"name": "idle", "namespace": namespace},
        spec={
            "replicas": 0,
            "selector": {"match_labels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "idle", "image": "registry.test/idle:1"}]},
            },
        },
        opts=opts,
    )


def main() -> None:
    """Read the stack's configuration and declare its world."""
    config = pulumi.Config()
    declare(config.require("world"), config.require_int("values"), config.require_int("kind"))


if __name__ == "__main__":
    main()
