"""The HTTPS entry of an environment."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.gateway import traefik
from components.gateway.traefik import LimitsArgs, RouteArgs
from components.kit import pods, ports
from components.kit.access import KeyPairArgs, PodResourcesArgs, key_pair_files
from components.kit.kubernetes import apps, core
from components.kit.volumes import config_volume, scratch_volume, secret_volume
from components.kit.workload import Workload

_APP = "gateway"
# What clients inside the cluster connect to.
_HTTPS = 443


class LoadBalancerArgs(TypedDict):
    """A load balancer of the cluster in front of the gateway."""

    annotations: NotRequired[Mapping[str, str] | None]
    """Annotations of the Service, from which controllers of clouds take what to make."""
    class_name: NotRequired[str | None]
    """Class of load balancers; the cluster's own when absent."""


class GatewayArgs(TypedDict):
    """Arguments of Gateway."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: str
    """Image of Traefik."""
    tls: KeyPairArgs
    """TLS certificate and its key."""
    address: str
    """Address of the nodes, or a name of the load balancer."""
    node_port: NotRequired[int | None]
    """Port on the nodes; absent with a load balancer."""
    load_balancer: NotRequired[LoadBalancerArgs | None]
    """Load balancer that answers at port 443; absent, the nodes answer at their port."""
    replicas: int
    """Number of pods."""
    resources: NotRequired[PodResourcesArgs]
    """What each pod asks for; 25m and 256Mi when absent."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""
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
        workload = Workload(name, _APP, args["namespace"], self, args.get("priority_class"))
        # JSON is YAML; Traefik reads files by their ending and knows no .json.
        static = traefik.static_file()
        config = workload.config({"traefik.yaml": static}, title=_APP)
        dynamic = traefik.routes_file(args["routes"], args["limits"])
        routes = workload.config({"routes.yaml": dynamic}, "routes", f"{_APP}-routes")
        secret = workload.secret(key_pair_files(args["tls"]), "tls")
        volumes = [
            config_volume("config", config.metadata.name),
            _routes_volume(routes.metadata.name),
            secret_volume("tls", secret),
            scratch_volume("tmp", _scratch(args["limits"])),
        ]
        users = {route["name"]: users for route in args["routes"] if (users := route.get("users")) is not None}
        if users:
            volumes.append(secret_volume("users", workload.secret(users, "users")))
        # Routes are read again where they are; what is fixed while it runs rolls the pods.
        deployment = workload.deployment(
            pods.template(_APP, _pod(args, volumes), static),
            replicas=args["replicas"],
            strategy=apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate", rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0)
            ),
        )
        if args["replicas"] > 1:
            workload.budget(max_unavailable=1)
        service, port = _service(workload, args)
        workload.allow([ports.GATEWAY])
        outside = f"https://{args['address']}{port}"
        self.url = pulumi.Output.all(deployment.metadata.name, service.metadata.name).apply(lambda _: outside)
        self.register_outputs({"url": self.url})


def _service(workload: Workload, args: GatewayArgs) -> tuple[core.v1.Service, str]:
    """Declare the entry and return it, and the end of its URL."""
    balancer = args.get("load_balancer")
    if balancer is None:
        port = args.get("node_port")
        return workload.service(_HTTPS, ports.GATEWAY, node_port=port), f":{port}"
    made = workload.balanced(
        _HTTPS, ports.GATEWAY, annotations=balancer.get("annotations"), class_name=balancer.get("class_name")
    )
    return made, ""


def _routes_volume(config_map: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """Return the volume of the routes, mounted as a whole: the node swaps its contents, and Traefik sees it.

    Traefik reads every folder below and follows no link to a folder: in a folder of its own the file is read once, at
    the top it would be read as itself and as what it links to.
    """
    return config_volume("routes", config_map, {"routes.yaml": "current/routes.yaml"})


def _scratch(limits: LimitsArgs) -> str:
    """Return the room for the large requests in flight of four routes: the real number would roll the pods."""
    return f"{max(4 * limits['in_flight'] * limits['max_body_bytes'] // 1024**2, 64)}Mi"


def _pod(args: GatewayArgs, volumes: list[core.v1.VolumeArgs]) -> core.v1.PodSpecArgs:
    asked = args.get("resources", {"cpu": "25m", "memory": "256Mi"})
    container = pods.container(
        _APP,
        args["image"],
        pods.resources(asked["cpu"], asked["memory"]),
        [
            pods.mount("config", "/etc/gateway/static", read_only=True),
            pods.mount("routes", traefik.ROUTES, read_only=True),
            pods.mount("tls", traefik.TLS, read_only=True),
            *(pods.mount("users", traefik.USERS, read_only=True) for volume in volumes if volume.name == "users"),
            pods.temporary(),
        ],
        args=["--configFile=/etc/gateway/static/traefik.yaml"],
        readiness=pods.http_probe("/ping", ports.GATEWAY_HEALTH),
        liveness=pods.http_probe("/ping", ports.GATEWAY_ALIVE),
    )
    pod = pods.pod([container], volumes, grace_seconds=traefik.DRAIN_SECONDS + traefik.FINISH_SECONDS + 2)
    pod.topology_spread_constraints = pods.spread({"app": _APP})
    return pod
