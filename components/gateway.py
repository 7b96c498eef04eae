"""The HTTPS entry of an environment."""

import hashlib
import json
from collections.abc import Sequence
from typing import TypedDict

import pulumi
from pulumi_kubernetes import apps, core, meta

from components import pods

_APP = "gateway"
_PORT = 8443
_HEALTH = 8081
_STATIC = {
    "entryPoints": {"https": {"address": f":{_PORT}"}, "health": {"address": f":{_HEALTH}"}},
    "ping": {"entryPoint": "health"},
    "providers": {"file": {"directory": "/etc/gateway/routes", "watch": False}},
    "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    "log": {"level": "WARN"},
}


class RouteArgs(TypedDict):
    """One route."""

    name: str
    """Name of the route: lower-case letters, digits, '-'."""
    path_prefix: str
    """Requests whose path starts with it, or is it, are taken."""
    url: str
    """Service the requests go to."""


class GatewayArgs(TypedDict):
    """Arguments of Gateway."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: str
    """Image of Traefik."""
    certificate: pulumi.Input[str]
    """TLS certificate, PEM."""
    key: pulumi.Input[str]
    """Key of the certificate, PEM."""
    address: str
    """Address of the nodes."""
    node_port: int
    """Port on the nodes."""
    routes: Sequence[RouteArgs]
    """Where requests go."""


class Gateway(pulumi.ComponentResource):
    """Traefik whose routes are a file: it has no rights on the API server at all."""

    url: pulumi.Output[str]
    """Base URL from outside."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:Gateway", name, None, opts)
        namespace = args["namespace"]
        # JSON is YAML; Traefik reads files by their ending and knows no .json.
        files = {"traefik.yaml": json.dumps(_STATIC, sort_keys=True), "routes.yaml": _routes(args["routes"])}
        config = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            data=files,
            opts=pods.child(self),
        )
        secret = core.v1.Secret(
            f"{name}-tls",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={"tls.crt": args["certificate"], "tls.key": args["key"]},
            opts=pods.child(self),
        )
        # Changed routes roll the pods: a changed file alone would show up a minute later.
        version = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
        deployment = apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=1,
                strategy=apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
                ),
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": _APP}),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels={"app": _APP}, annotations={"stellwerk.dev/configuration": version}
                    ),
                    spec=self._pod(args["image"], config.metadata.name, secret.metadata.name),
                ),
            ),
            opts=pods.child(self),
        )
        service = core.v1.Service(
            f"{name}-service",
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=core.v1.ServiceSpecArgs(
                type="NodePort",
                selector={"app": _APP},
                ports=[core.v1.ServicePortArgs(port=443, target_port=_PORT, node_port=args["node_port"])],
            ),
            opts=pods.child(self),
        )
        pods.allow_ingress(f"{name}-ingress", namespace, _APP, _PORT, None, pods.child(self))
        outside = f"https://{args['address']}:{args['node_port']}"
        self.url = pulumi.Output.all(deployment.metadata.name, service.metadata.name).apply(lambda _: outside)
        self.register_outputs({"url": self.url})

    def _pod(self, image: str, config: pulumi.Input[str], secret: pulumi.Input[str]) -> core.v1.PodSpecArgs:
        static = core.v1.KeyToPathArgs(key="traefik.yaml", path="traefik.yaml")
        routes = core.v1.KeyToPathArgs(key="routes.yaml", path="routes/routes.yaml")
        volume = core.v1.VolumeArgs(
            name="config", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config, items=[static, routes])
        )
        return core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            automount_service_account_token=False,
            containers=[
                core.v1.ContainerArgs(
                    name=_APP,
                    image=image,
                    args=["--configFile=/etc/gateway/traefik.yaml"],
                    security_context=pods.RESTRICTED_CONTAINER,
                    resources=pods.resources("50m", "256Mi"),
                    readiness_probe=core.v1.ProbeArgs(
                        http_get=core.v1.HTTPGetActionArgs(path="/ping", port=_HEALTH), period_seconds=2
                    ),
                    volume_mounts=[
                        pods.mount("config", "/etc/gateway", read_only=True),
                        pods.mount("tls", "/etc/tls", read_only=True),
                        pods.mount("tmp", "/tmp"),  # noqa: S108
                    ],
                )
            ],
            volumes=[volume, pods.secret_volume("tls", secret), pods.scratch_volume("tmp")],
        )


def _routes(routes: Sequence[RouteArgs]) -> str:
    """Traefik's dynamic configuration."""
    routers = {
        route["name"]: {
            "entryPoints": ["https"],
            "rule": f"Path(`{route['path_prefix']}`) || PathPrefix(`{route['path_prefix']}/`)",
            "service": route["name"],
            "middlewares": ["again"],
            "tls": {},
        }
        for route in routes
    }
    services = {
        route["name"]: {
            "loadBalancer": {
                "servers": [{"url": route["url"]}], "serversTransport": "default", "passHostHeader": True,
            }
        }
        for route in routes
    }  # fmt: skip
    http = {
        # A connection that a draining pod closes is tried again on another one.
        "middlewares": {"again": {"retry": {"attempts": 3, "initialInterval": "50ms"}}},
        # Idle connections go before a draining pod does: none is used while it closes.
        "serversTransports": {"default": {"forwardingTimeouts": {"idleConnTimeout": "2s", "dialTimeout": "3s"}}},
        "routers": routers,
        "services": services,
    }
    tls = {
        "stores": {"default": {"defaultCertificate": {"certFile": "/etc/tls/tls.crt", "keyFile": "/etc/tls/tls.key"}}},
        "options": {"default": {"minVersion": "VersionTLS12"}},
    }
    document = {"http": http if routes else {}, "tls": tls}
    return json.dumps({key: value for key, value in document.items() if value}, sort_keys=True)
