"""A private image registry."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypedDict

import pulumi
from pulumi_kubernetes import apps, core, meta

from components.kit import pods
from components.kit.access import KeyPairArgs

_APP = "registry"
_PORT = 5000
_BACKEND = "127.0.0.1:5001"
_CONFIG = {
    "version": "0.1",
    "storage": {
        "filesystem": {"rootdirectory": "/var/lib/registry"},
        "delete": {"enabled": True},
        "redirect": {"disable": True},
    },
    # Nobody but the proxy beside it reaches it. It tells paths: host and scheme are the proxy's matter.
    "http": {"addr": _BACKEND, "relativeurls": True},
    "log": {"level": "warn", "accesslog": {"disabled": True}},
}
_STATIC = {
    # A layer of gigabytes takes its time: no limit on how long a request may be read.
    "entryPoints": {"https": {"address": f":{_PORT}", "transport": {"respondingTimeouts": {"readTimeout": "0s"}}}},
    "providers": {"file": {"directory": "/etc/proxy/routes", "watch": False}},
    "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    "log": {"level": "WARN"},
}


def _routes() -> dict[str, Any]:
    """Traefik's dynamic configuration: who may do what, which the registry itself can't tell apart."""

    def router(rule: str, priority: int, *middlewares: str) -> dict[str, Any]:
        return {"rule": rule, "priority": priority, "service": _APP, "middlewares": middlewares, "tls": {}}

    def login(users: str) -> dict[str, Any]:
        return {"basicAuth": {"usersFile": f"/etc/registry/{users}", "realm": "stellwerk", "removeHeader": True}}

    certificate = {"certFile": "/etc/registry/tls.crt", "keyFile": "/etc/registry/tls.key"}
    return {
        "http": {
            "routers": {
                # Answers 200 and nothing else: the probe.
                "alive": router("Path(`/`) && Method(`GET`)", 3),
                "pull": router("PathPrefix(`/v2/`) && (Method(`GET`) || Method(`HEAD`))", 2, "readers"),
                "push": router("PathPrefix(`/v2/`)", 1, "writers"),
            },
            "middlewares": {"readers": login("readers"), "writers": login("writers")},
            "services": {_APP: {"loadBalancer": {"servers": [{"url": f"http://{_BACKEND}"}]}}},
        },
        "tls": {
            "stores": {"default": {"defaultCertificate": certificate}},
            "options": {"default": {"minVersion": "VersionTLS12"}},
        },
    }


def files() -> dict[str, str]:
    """The configuration files of registry and proxy, by name; JSON is YAML."""
    documents = {"config.yml": _CONFIG, "traefik.yaml": _STATIC, "routes.yaml": _routes()}
    return {name: json.dumps(document, sort_keys=True) for name, document in documents.items()}


class ImageRegistryArgs(TypedDict):
    """Arguments of ImageRegistry."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: str
    """Image of the registry (distribution v3)."""
    proxy_image: str
    """Image of Traefik, which checks who may do what."""
    address: str
    """host:port under which nodes and builders reach it; the port is its node port."""
    tls: KeyPairArgs
    """TLS certificate and its key."""
    readers: pulumi.Input[str]
    """Logins that may pull, one bcrypt htpasswd line each."""
    writers: pulumi.Input[str]
    """Logins that may pull, push and delete, one bcrypt htpasswd line each."""
    storage: str
    """Size of its volume, in bytes with a binary unit."""


class ImageRegistry(pulumi.ComponentResource):
    """Distribution v3 on a volume of its own, behind a proxy with TLS and logins that pull or push."""

    address: pulumi.Output[str]
    """host:port, known once the registry answers."""

    def __init__(self, name: str, args: ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ImageRegistry", name, None, opts)
        namespace = args["namespace"]
        config = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            data=files(),
            opts=pods.child(self),
        )
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={
                "tls.crt": args["tls"]["certificate"],
                "tls.key": args["tls"]["key"],
                "readers": pulumi.Output.all(args["readers"], args["writers"]).apply("".join),
                "writers": args["writers"],
            },
            opts=pods.child(self),
        )
        version = hashlib.sha256(json.dumps(files(), sort_keys=True).encode()).hexdigest()[:16]
        claim = pods.claim(f"{name}-data", namespace, args["storage"], pods.child(self))
        deployment = apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=1,
                # Two registries on one volume would not see each other's uploads.
                strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": _APP}),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels={"app": _APP}, annotations={"stellwerk.dev/configuration": version}
                    ),
                    spec=self._pod(args, config.metadata.name, secret.metadata.name, claim.metadata.name),
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
                ports=[
                    core.v1.ServicePortArgs(
                        port=_PORT, target_port=_PORT, node_port=int(args["address"].rsplit(":", 1)[1])
                    )
                ],
            ),
            opts=pods.child(self),
        )
        pods.allow_ingress(f"{name}-ingress", namespace, _APP, _PORT, None, pods.child(self))
        address = args["address"]
        self.address = pulumi.Output.all(deployment.metadata.name, service.metadata.name).apply(lambda _: address)
        self.register_outputs({"address": self.address})

    def _pod(
        self,
        args: ImageRegistryArgs,
        config: pulumi.Input[str],
        secret: pulumi.Input[str],
        claim: pulumi.Input[str],
    ) -> core.v1.PodSpecArgs:
        registry = core.v1.ContainerArgs(
            name=_APP,
            image=args["image"],
            args=["serve", "/etc/distribution/config.yml"],
            env=[core.v1.EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none")],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources("50m", "384Mi"),
            volume_mounts=[
                pods.mount("config", "/etc/distribution", read_only=True),
                pods.mount("data", "/var/lib/registry"),
                pods.mount("tmp", "/tmp"),  # noqa: S108
            ],
        )
        proxy = core.v1.ContainerArgs(
            name="proxy",
            image=args["proxy_image"],
            args=["--configFile=/etc/proxy/traefik.yaml"],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources("25m", "160Mi"),
            # Through the proxy to the registry: both have to answer.
            readiness_probe=pods.https_probe("/", _PORT),
            volume_mounts=[
                pods.mount("proxy", "/etc/proxy", read_only=True),
                pods.mount("secret", "/etc/registry", read_only=True),
                pods.mount("proxy-tmp", "/tmp"),  # noqa: S108
            ],
        )
        return core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            automount_service_account_token=False,
            containers=[registry, proxy],
            volumes=[
                _configuration("config", config, {"config.yml": "config.yml"}),
                _configuration("proxy", config, {"traefik.yaml": "traefik.yaml", "routes.yaml": "routes/routes.yaml"}),
                pods.secret_volume("secret", secret),
                pods.claim_volume("data", claim),
                pods.scratch_volume("tmp"),
                pods.scratch_volume("proxy-tmp"),
            ],
        )


def _configuration(name: str, config: pulumi.Input[str], paths: Mapping[str, str]) -> core.v1.VolumeArgs:
    """A volume of some files of the ConfigMap, by their place in it."""
    items = [core.v1.KeyToPathArgs(key=key, path=path) for key, path in paths.items()]
    return core.v1.VolumeArgs(name=name, config_map=core.v1.ConfigMapVolumeSourceArgs(name=config, items=items))
