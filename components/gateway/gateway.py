"""The HTTPS entry of an environment."""

import hashlib
from collections.abc import Sequence
from typing import TypedDict

import pulumi
from pulumi_kubernetes import apps, core, meta, policy

from components.gateway import traefik
from components.gateway.traefik import LimitsArgs, RouteArgs
from components.kit import pods
from components.kit.access import KeyPairArgs

_APP = "gateway"


class GatewayArgs(TypedDict):
    """Arguments of Gateway."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: str
    """Image of Traefik."""
    tls: KeyPairArgs
    """TLS certificate and its key."""
    address: str
    """Address of the nodes."""
    node_port: int
    """Port on the nodes."""
    replicas: int
    """Number of pods."""
    routes: Sequence[RouteArgs]
    """Where requests go."""
    limits: LimitsArgs
    """What one pod lets through."""


class Gateway(pulumi.ComponentResource):
    """Traefik whose routes are a file: it has no rights on the API server at all."""

    url: pulumi.Output[str]
    """Base URL from outside."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:Gateway", name, None, opts)
        namespace = args["namespace"]
        # JSON is YAML; Traefik reads files by their ending and knows no .json.
        static = traefik.static_file()
        config = self._config(f"{name}-config", _APP, namespace, "traefik.yaml", static)
        dynamic = traefik.routes_file(args["routes"], args["limits"])
        routes = self._config(f"{name}-routes", f"{_APP}-routes", namespace, "routes.yaml", dynamic)
        secret = core.v1.Secret(
            f"{name}-tls",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={"tls.crt": args["tls"]["certificate"], "tls.key": args["tls"]["key"]},
            opts=pods.child(self),
        )
        volumes = [
            pods.config_volume("config", config.metadata.name),
            _routes_volume(routes.metadata.name),
            pods.secret_volume("tls", secret.metadata.name),
            pods.scratch_volume("tmp", _scratch(args["limits"])),
        ]
        # Routes are read again where they are; what is fixed while it runs rolls the pods.
        version = hashlib.sha256(static.encode()).hexdigest()[:16]
        labels = {"app": _APP}
        deployment = apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=args["replicas"],
                strategy=apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
                ),
                selector=meta.v1.LabelSelectorArgs(match_labels=labels),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels=labels, annotations={"stellwerk.dev/configuration": version}
                    ),
                    spec=_pod(args["image"], volumes),
                ),
            ),
            opts=pods.child(self),
        )
        if args["replicas"] > 1:
            policy.v1.PodDisruptionBudget(
                f"{name}-budget",
                metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
                spec=policy.v1.PodDisruptionBudgetSpecArgs(
                    max_unavailable=1, selector=meta.v1.LabelSelectorArgs(match_labels=labels)
                ),
                opts=pods.child(self),
            )
        service = core.v1.Service(
            f"{name}-service",
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=core.v1.ServiceSpecArgs(
                type="NodePort",
                selector=labels,
                ports=[core.v1.ServicePortArgs(port=443, target_port=traefik.PORT, node_port=args["node_port"])],
            ),
            opts=pods.child(self),
        )
        pods.allow_ingress(f"{name}-ingress", namespace, _APP, traefik.PORT, None, pods.child(self))
        outside = f"https://{args['address']}:{args['node_port']}"
        self.url = pulumi.Output.all(deployment.metadata.name, service.metadata.name).apply(lambda _: outside)
        self.register_outputs({"url": self.url})

    def _config(
        self, name: str, object_name: str, namespace: pulumi.Input[str], file: str, text: str
    ) -> core.v1.ConfigMap:
        return core.v1.ConfigMap(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=object_name, namespace=namespace),
            data={file: text},
            opts=pods.child(self),
        )


def _routes_volume(config_map: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """The routes, as a volume of its own, mounted as a whole: the node swaps its contents, and Traefik sees it.

    Traefik reads every folder below and follows no link to a folder: in a folder of its own the file is read once, at
    the top it would be read as itself and as what it links to.
    """
    item = core.v1.KeyToPathArgs(key="routes.yaml", path="current/routes.yaml")
    return core.v1.VolumeArgs(
        name="routes", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config_map, items=[item])
    )


def _scratch(limits: LimitsArgs) -> str:
    """Room for the large requests in flight of four routes: by their real number, a new one would roll the pods."""
    return f"{max(4 * limits['in_flight'] * limits['max_body_bytes'] // 1024**2, 64)}Mi"


def _pod(image: str, volumes: list[core.v1.VolumeArgs]) -> core.v1.PodSpecArgs:
    spread = core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key="kubernetes.io/hostname",
        when_unsatisfiable="ScheduleAnyway",
        label_selector=meta.v1.LabelSelectorArgs(match_labels={"app": _APP}),
    )
    return core.v1.PodSpecArgs(
        security_context=pods.RESTRICTED_POD,
        automount_service_account_token=False,
        termination_grace_period_seconds=traefik.DRAIN_SECONDS + traefik.FINISH_SECONDS + 2,
        topology_spread_constraints=[spread],
        containers=[
            core.v1.ContainerArgs(
                name=_APP,
                image=image,
                args=["--configFile=/etc/gateway/static/traefik.yaml"],
                security_context=pods.RESTRICTED_CONTAINER,
                resources=pods.resources("25m", "256Mi"),
                readiness_probe=core.v1.ProbeArgs(
                    http_get=core.v1.HTTPGetActionArgs(path="/ping", port=traefik.HEALTH), period_seconds=2
                ),
                volume_mounts=[
                    pods.mount("config", "/etc/gateway/static", read_only=True),
                    pods.mount("routes", traefik.ROUTES, read_only=True),
                    pods.mount("tls", traefik.TLS, read_only=True),
                    pods.mount("tmp", "/tmp"),  # noqa: S108
                ],
            )
        ],
        volumes=volumes,
    )
