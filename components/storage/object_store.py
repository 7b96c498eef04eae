"""An S3 store for model artefacts."""

from collections.abc import Sequence
from typing import TypedDict

import pulumi
from pulumi_kubernetes import apps, core, meta

from components.kit import pods
from components.kit.access import KeyPairArgs, StaticKeysArgs

_APP = "object-store"
# Inside the cluster under a name of its own: a second port of a node port's service would be open on the nodes, too.
_READER = "object-store-reader"
_PORT = 7070
_READER_PORT = 7071


class ObjectStoreArgs(TypedDict):
    """Arguments of ObjectStore."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: str
    """Image of versitygw."""
    tool_image: str
    """Image with a shell's tools, for making the bucket folders."""
    buckets: Sequence[str]
    """Buckets that exist from the start."""
    owner: StaticKeysArgs
    """Keys that may read and write."""
    reader: StaticKeysArgs
    """Keys that may only read."""
    tls: KeyPairArgs
    """TLS certificate and its key."""
    address: str
    """Address of the nodes."""
    node_port: int
    """Port on the nodes."""
    storage: str
    """Size of its volume, in bytes with a binary unit."""


class ObjectStore(pulumi.ComponentResource):
    """versitygw over a volume: S3 with TLS, objects are plain files; a second one over the same volume only reads."""

    endpoint: pulumi.Output[str]
    """URL inside the cluster."""
    reader_endpoint: pulumi.Output[str]
    """URL inside the cluster that takes the reader's key, and reads only."""
    external_endpoint: pulumi.Output[str]
    """URL from outside."""

    def __init__(self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ObjectStore", name, None, opts)
        namespace = args["namespace"]
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={
                "access": args["owner"]["access_key"],
                "secret": args["owner"]["secret_key"],
                "reader-access": args["reader"]["access_key"],
                "reader-secret": args["reader"]["secret_key"],
                "tls.crt": args["tls"]["certificate"],
                "tls.key": args["tls"]["key"],
            },
            opts=pods.child(self),
        )
        claim = pods.claim(f"{name}-data", namespace, args["storage"], pods.child(self))
        deployment = apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=1,
                strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": _APP}),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels={"app": _APP}),
                    spec=self._pod(args, secret.metadata.name, claim.metadata.name),
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
                ports=[core.v1.ServicePortArgs(port=_PORT, target_port=_PORT, node_port=args["node_port"])],
            ),
            opts=pods.child(self),
        )
        reader = core.v1.Service(
            f"{name}-reader",
            metadata=meta.v1.ObjectMetaArgs(name=_READER, namespace=namespace),
            spec=core.v1.ServiceSpecArgs(
                selector={"app": _APP}, ports=[core.v1.ServicePortArgs(port=_PORT, target_port=_READER_PORT)]
            ),
            opts=pods.child(self),
        )
        pods.allow_ingress(f"{name}-ingress", namespace, _APP, [_PORT, _READER_PORT], None, pods.child(self))
        ready = pulumi.Output.all(namespace, deployment.metadata.name, service.metadata.name, reader.metadata.name)
        outside = f"https://{args['address']}:{args['node_port']}"
        self.endpoint = ready.apply(lambda known: f"https://{_APP}.{known[0]}.svc.cluster.local:{_PORT}")
        self.reader_endpoint = ready.apply(lambda known: f"https://{_READER}.{known[0]}.svc.cluster.local:{_PORT}")
        self.external_endpoint = ready.apply(lambda _: outside)
        self.register_outputs({"endpoint": self.endpoint, "external_endpoint": self.external_endpoint})

    def _pod(self, args: ObjectStoreArgs, secret: pulumi.Input[str], claim: pulumi.Input[str]) -> core.v1.PodSpecArgs:
        data = pods.mount("data", "/data")
        # The files of the certificate alone: the reader has no way to the writer's key.
        pair = [core.v1.KeyToPathArgs(key=key, path=key) for key in ("tls.crt", "tls.key")]
        tls = core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440, items=pair)
        return core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            automount_service_account_token=False,
            init_containers=[
                core.v1.ContainerArgs(
                    name="buckets",
                    image=args["tool_image"],
                    command=["/bin/mkdir", "-p", *(f"/data/{bucket}" for bucket in args["buckets"])],
                    security_context=pods.RESTRICTED_CONTAINER,
                    resources=pods.resources("10m", "32Mi"),
                    volume_mounts=[data],
                )
            ],
            containers=[
                self._gateway(_APP, args["image"], secret, _PORT, pods.resources("50m", "256Mi")),
                # The volume is read-only for it as well.
                self._gateway(_READER, args["image"], secret, _READER_PORT, pods.resources("10m", "128Mi")),
            ],
            volumes=[
                pods.claim_volume("data", claim),
                core.v1.VolumeArgs(name="tls", secret=tls),
                pods.scratch_volume("tmp"),
                pods.scratch_volume("tmp-reader"),
            ],
        )

    def _gateway(
        self,
        name: str,
        image: str,
        secret: pulumi.Input[str],
        port: int,
        resources: core.v1.ResourceRequirementsArgs,
    ) -> core.v1.ContainerArgs:
        reads = name == _READER
        keys = ("reader-access", "reader-secret") if reads else ("access", "secret")
        options = [f"--port=:{port}", "--cert=/tls/tls.crt", "--key=/tls/tls.key", "--quiet", "--health=/health"]
        return core.v1.ContainerArgs(
            name=name,
            image=image,
            args=[*options, *(["--readonly"] if reads else []), "posix", "/data"],
            env=[
                pods.secret_env("ROOT_ACCESS_KEY_ID", secret, keys[0]),
                pods.secret_env("ROOT_SECRET_ACCESS_KEY", secret, keys[1]),
            ],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=resources,
            readiness_probe=pods.https_probe("/health", port),
            volume_mounts=[
                pods.mount("data", "/data", read_only=reads),
                pods.mount("tls", "/tls", read_only=True),
                pods.mount("tmp-reader" if reads else "tmp", "/tmp"),  # noqa: S108
            ],
        )
