"""What both shippers share: the configuration file of an OpenTelemetry Collector, and the pod it runs in."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import pulumi

from components.kit import pods
from components.kit.kubernetes import core
from components.kit.volumes import config_volume, secret_volume
from components.kit.workload import Workload
from components.logging.log_shipper import LogTarget

# Its log, which the node rotates, and what waits to be sent; the namespace has no limits of its own to give.
SCRATCH = "1Gi"


class CollectorArgs(TypedDict):
    """What a shipper needs."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    target: pulumi.Input[LogTarget]
    """Store it brings lines to."""
    image: pulumi.Input[str]
    """Image of the log shipper."""
    secret: pulumi.Input[str]
    """Name of the Secret with `password` and `ca.crt` of the store."""
    priority_class: pulumi.Input[str] | None
    """Name of its priority class; None: it has none."""


def collector_config(
    workload: Workload, target: pulumi.Input[LogTarget], configuration: Callable[[LogTarget], dict[str, Any]]
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """Declare the ConfigMap of a collector; return its document and its name."""
    document = pulumi.Output.from_input(target).apply(lambda store: json.dumps(configuration(store), sort_keys=True))
    return document, workload.config({"config.yaml": document}).metadata.name


def collector_pod(
    app: str,
    args: CollectorArgs,
    config: pulumi.Input[str],
    resources: pods.Resources,
    memory: str,
    mounts: Sequence[core.v1.VolumeMountArgs],
    volumes: Sequence[core.v1.VolumeArgs],
) -> core.v1.PodSpecArgs:
    """Return the pod of a collector whose garbage collector keeps to `memory` (such as 100MiB)."""
    fixed = [pods.mount("config", "/etc/log-shipper", read_only=True), pods.mount("secret", "/secret", read_only=True)]
    container = pods.container(
        app,
        args["image"],
        resources,
        [*fixed, *mounts],
        args=["--config=file:/etc/log-shipper/config.yaml"],
        env=pods.env({"GOMEMLIMIT": memory}),
    )
    pod = pods.pod(
        [container],
        [config_volume("config", config), secret_volume("secret", args["secret"]), *volumes],
        # With the store away it does not end by itself. It is safe to kill: positions or the API server have the rest.
        grace_seconds=10,
    )
    pod.enable_service_links = False
    return pod
