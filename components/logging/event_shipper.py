"""The event shipper: one collector that brings the cluster's events into the log store."""

import json
from typing import TypedDict

import pulumi
from pulumi_kubernetes import apps, core, meta, rbac

from components.kit import pods
from components.logging.log_shipper import EVENT_SHIPPER, POSITIONS, events_config


class EventShipperArgs(TypedDict):
    """What the event shipper needs."""

    environment: str
    """Environment that owns it; names the cluster role."""
    namespace: pulumi.Input[str]
    """Namespace it runs in, in which nobody else has rights: it holds a token."""
    store_namespace: pulumi.Input[str]
    """Namespace of Elasticsearch."""
    image: pulumi.Input[str]
    """Image of the log shipper."""
    secret: pulumi.Input[str]
    """Name of the Secret with `password` and `ca.crt` of the store."""


def ship_events(name: str, args: EventShipperArgs, parent: pulumi.Resource, store: list[pulumi.Resource]) -> None:
    """Declare the event shipper: rights to read events and no more, and one pod under Pod Security "restricted"."""
    namespace = args["namespace"]
    account = _account(name, args, parent)
    document = pulumi.Output.from_input(args["store_namespace"]).apply(
        lambda space: json.dumps(events_config(space), sort_keys=True)
    )
    config = core.v1.ConfigMap(
        f"{name}-config",
        metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
        data={"config.yaml": document},
        opts=pods.child(parent),
    )
    apps.v1.Deployment(
        name,
        metadata=meta.v1.ObjectMetaArgs(name=EVENT_SHIPPER, namespace=namespace),
        spec=apps.v1.DeploymentSpecArgs(
            replicas=1,
            selector=meta.v1.LabelSelectorArgs(match_labels={"app": EVENT_SHIPPER}),
            template=pods.template(EVENT_SHIPPER, document, _pod(args, account, config.metadata.name)),
        ),
        opts=pods.child(parent, store),
    )


def _account(name: str, args: EventShipperArgs, parent: pulumi.Resource) -> pulumi.Output[str]:
    account = core.v1.ServiceAccount(
        f"{name}-account",
        metadata=meta.v1.ObjectMetaArgs(name=EVENT_SHIPPER, namespace=args["namespace"]),
        automount_service_account_token=False,
        opts=pods.child(parent),
    )
    # All namespaces: those of other environments are declared elsewhere, and a node's events are in `default`.
    role = rbac.v1.ClusterRole(
        f"{name}-role",
        metadata=meta.v1.ObjectMetaArgs(name=f"{args['environment']}-{EVENT_SHIPPER}"),
        rules=[rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["events"], verbs=["list", "watch"])],
        opts=pods.child(parent),
    )
    rbac.v1.ClusterRoleBinding(
        f"{name}-binding",
        metadata=meta.v1.ObjectMetaArgs(name=f"{args['environment']}-{EVENT_SHIPPER}"),
        role_ref=rbac.v1.RoleRefArgs(
            api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role.metadata.name
        ),
        subjects=[rbac.v1.SubjectArgs(kind="ServiceAccount", name=account.metadata.name, namespace=args["namespace"])],
        opts=pods.child(parent),
    )
    title: pulumi.Output[str] = account.metadata.name
    return title


def _pod(args: EventShipperArgs, account: pulumi.Input[str], config: pulumi.Input[str]) -> core.v1.PodSpecArgs:
    container = core.v1.ContainerArgs(
        name=EVENT_SHIPPER,
        image=args["image"],
        args=["--config=file:/etc/log-shipper/config.yaml"],
        env=[core.v1.EnvVarArgs(name="GOMEMLIMIT", value="100MiB")],
        security_context=pods.RESTRICTED_CONTAINER,
        resources=pods.resources("10m", "128Mi", "500m"),
        volume_mounts=[
            pods.mount("config", "/etc/log-shipper", read_only=True),
            pods.mount("secret", "/secret", read_only=True),
            pods.mount("queue", POSITIONS),
        ],
    )
    return core.v1.PodSpecArgs(
        security_context=pods.RESTRICTED_POD,
        service_account_name=account,
        automount_service_account_token=True,
        enable_service_links=False,
        # With the store away it does not end by itself, and it is safe to kill: the API server has the events.
        termination_grace_period_seconds=10,
        containers=[container],
        volumes=[
            pods.config_volume("config", config),
            pods.secret_volume("secret", args["secret"]),
            pods.scratch_volume("queue"),
        ],
    )
