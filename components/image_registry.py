"""A private image registry."""

import json
from typing import TypedDict

import pulumi
from pulumi_kubernetes import apps, core, meta

from components import pods

_APP = "registry"
_PORT = 5000
_CONFIG = {
    "version": "0.1",
    "storage": {
        "filesystem": {"rootdirectory": "/var/lib/registry"},
        "delete": {"enabled": True},
        "redirect": {"disable": True},
    },
    "http": {
        "addr": f":{_PORT}",
        "tls": {"certificate": "/etc/registry/tls/tls.crt", "key": "/etc/registry/tls/tls.key", "minimumtls": "tls1.2"},
    },
    "auth": {"htpasswd": {"realm": "stellwerk", "path": "/etc/registry/auth/htpasswd"}},
    "log": {"level": "warn", "accesslog": {"disabled": True}},
}


class ImageRegistryArgs(TypedDict):
    """Arguments of ImageRegistry."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: str
    """Image of the registry (distribution v3)."""
    address: str
    """host:port under which nodes and builders reach it; the port is its node port."""
    certificate: pulumi.Input[str]
    """TLS certificate, PEM."""
    key: pulumi.Input[str]
    """Key of the certificate, PEM."""
    htpasswd: pulumi.Input[str]
    """Logins, one bcrypt htpasswd line each."""
    storage: str
    """Size of its volume, in bytes with a binary unit."""


class ImageRegistry(pulumi.ComponentResource):
    """Distribution v3 behind TLS and a login, on a volume of its own."""

    address: pulumi.Output[str]
    """host:port, known once the registry answers."""

    def __init__(self, name: str, args: ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ImageRegistry", name, None, opts)
        namespace = args["namespace"]
        config = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            data={"config.yml": json.dumps(_CONFIG, sort_keys=True)},
            opts=pods.child(self),
        )
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={"tls.crt": args["certificate"], "tls.key": args["key"], "htpasswd": args["htpasswd"]},
            opts=pods.child(self),
        )
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
                    metadata=meta.v1.ObjectMetaArgs(labels={"app": _APP}),
                    spec=self._pod(args["image"], config.metadata.name, secret.metadata.name, claim.metadata.name),
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
        self, image: str, config: pulumi.Input[str], secret: pulumi.Input[str], claim: pulumi.Input[str]
    ) -> core.v1.PodSpecArgs:
        tls = [core.v1.KeyToPathArgs(key=key, path=f"tls/{key}") for key in ("tls.crt", "tls.key")]
        login = core.v1.KeyToPathArgs(key="htpasswd", path="auth/htpasswd")
        volume = core.v1.VolumeArgs(
            name="secret",
            secret=core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440, items=[*tls, login]),
        )
        return core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            automount_service_account_token=False,
            containers=[
                core.v1.ContainerArgs(
                    name=_APP,
                    image=image,
                    args=["serve", "/etc/distribution/config.yml"],
                    env=[core.v1.EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none")],
                    security_context=pods.RESTRICTED_CONTAINER,
                    resources=pods.resources("50m", "512Mi"),
                    readiness_probe=pods.tcp_probe(_PORT),
                    volume_mounts=[
                        pods.mount("config", "/etc/distribution", read_only=True),
                        pods.mount("secret", "/etc/registry", read_only=True),
                        pods.mount("data", "/var/lib/registry"),
                        pods.mount("tmp", "/tmp"),  # noqa: S108
                    ],
                )
            ],
            volumes=[
                pods.config_volume("config", config),
                volume,
                pods.claim_volume("data", claim),
                pods.scratch_volume("tmp"),
            ],
        )
