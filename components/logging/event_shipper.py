"""The event shipper: one collector that brings the cluster's events into the log store."""

import pulumi

from components.kit import pods
from components.kit.kubernetes import apps, meta, rbac
from components.kit.options import child
from components.kit.volumes import scratch_volume
from components.kit.workload import Workload
from components.logging.collector import SCRATCH, CollectorArgs, collector_config, collector_pod
from components.logging.log_shipper import EVENT_SHIPPER, POSITIONS, events_config


def ship_events(
    name: str, environment: str, args: CollectorArgs, parent: pulumi.Resource, store: list[pulumi.Resource]
) -> apps.v1.Deployment:
    """Declare the event shipper: rights to read events and no more, and one pod under Pod Security "restricted".

    Nobody else may have rights in its namespace: it holds a token. `environment` names the cluster role.
    """
    workload = Workload(name, EVENT_SHIPPER, args["namespace"], parent, args["priority_class"])
    account = _account(workload, f"{environment}-{EVENT_SHIPPER}")
    document, config = collector_config(workload, args["target"], events_config)
    mounts, volumes = [pods.mount("queue", POSITIONS)], [scratch_volume("queue")]
    resources = pods.resources("10m", "128Mi", "500m", scratch=SCRATCH)
    pod = collector_pod(EVENT_SHIPPER, args, config, resources, "100MiB", mounts, volumes)
    pod.service_account_name, pod.automount_service_account_token = account, True
    return workload.deployment(pods.template(EVENT_SHIPPER, pod, document), opts=child(parent, store))


def _account(workload: Workload, role_name: str) -> pulumi.Output[str]:
    account = workload.account(EVENT_SHIPPER)
    # All namespaces: those of other environments are declared elsewhere, and a node's events are in `default`.
    role = rbac.v1.ClusterRole(
        f"{workload.name}-role",
        metadata=meta.v1.ObjectMetaArgs(name=role_name),
        rules=[rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["events"], verbs=["list", "watch"])],
        opts=child(workload.parent),
    )
    rbac.v1.ClusterRoleBinding(
        f"{workload.name}-binding",
        metadata=meta.v1.ObjectMetaArgs(name=role_name),
        role_ref=rbac.v1.RoleRefArgs(
            api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role.metadata.name
        ),
        subjects=[rbac.v1.SubjectArgs(kind="ServiceAccount", name=account, namespace=workload.namespace)],
        opts=child(workload.parent),
    )
    return account
