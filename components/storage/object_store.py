"""An S3 store for model artefacts."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit import pods, ports
from components.kit.access import KeyPairArgs, StaticKeysArgs, key_pair_files
from components.kit.kubernetes import core
from components.kit.volumes import claim_volume, scratch_volume, secret_volume
from components.kit.workload import Workload, one_at_a_time

_APP = "object-store"
# Inside the cluster under a name of its own: a second port of a node port's service would be open on the nodes, too.
_READER = "object-store-reader"


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
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""


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
        workload = Workload(name, _APP, args["namespace"], self, args.get("priority_class"))
        secret = workload.secret(
            {
                "access": args["owner"]["access_key"],
                "secret": args["owner"]["secret_key"],
                "reader-access": args["reader"]["access_key"],
                "reader-secret": args["reader"]["secret_key"],
                **key_pair_files(args["tls"]),
            }
        )
        pod = _pod(args, secret, workload.claim(args["storage"]))
        deployment = workload.deployment(pods.template(_APP, pod), strategy=one_at_a_time())
        service = workload.service(ports.OBJECT_STORE, ports.OBJECT_STORE, node_port=args["node_port"])
        reader = workload.service(ports.OBJECT_STORE, ports.OBJECT_STORE_READER, suffix="reader", title=_READER)
        workload.allow([ports.OBJECT_STORE, ports.OBJECT_STORE_READER])
        ready = pulumi.Output.all(
            args["namespace"], deployment.metadata.name, service.metadata.name, reader.metadata.name
        )
        outside = f"https://{args['address']}:{args['node_port']}"
        self.endpoint = ready.apply(lambda known: _url(_APP, known[0]))
        self.reader_endpoint = ready.apply(lambda known: _url(_READER, known[0]))
        self.external_endpoint = ready.apply(lambda _: outside)
        self.register_outputs({"endpoint": self.endpoint, "external_endpoint": self.external_endpoint})


def _url(service: str, namespace: str) -> str:
    return f"https://{service}.{namespace}.svc.cluster.local:{ports.OBJECT_STORE}"


def _pod(args: ObjectStoreArgs, secret: pulumi.Input[str], claim: pulumi.Input[str]) -> core.v1.PodSpecArgs:
    buckets = pods.container(
        "buckets",
        args["tool_image"],
        pods.resources("10m", "32Mi"),
        [pods.mount("data", "/data")],
        command=["/bin/mkdir", "-p", *(f"/data/{bucket}" for bucket in args["buckets"])],
    )
    return pods.pod(
        [_writer(args["image"], secret), _reader(args["image"], secret)],
        [
            claim_volume("data", claim),
            # The files of the certificate alone: the reader has no way to the writer's key.
            secret_volume("tls", secret, ["tls.crt", "tls.key"]),
            scratch_volume("tmp"),
            scratch_volume("tmp-reader"),
        ],
        init_containers=[buckets],
    )


def _writer(image: str, secret: pulumi.Input[str]) -> core.v1.ContainerArgs:
    port = ports.OBJECT_STORE
    return pods.container(
        _APP,
        image,
        pods.resources("50m", "256Mi"),
        [pods.mount("data", "/data"), pods.mount("tls", "/tls", read_only=True), pods.temporary()],
        args=[*_options(port), "posix", "/data"],
        env=_root(secret, "access", "secret"),
        readiness=pods.https_probe("/health", port),
    )


def _reader(image: str, secret: pulumi.Input[str]) -> core.v1.ContainerArgs:
    """Return the gateway that only reads; the volume is read-only for it as well."""
    port = ports.OBJECT_STORE_READER
    mounts = [pods.mount("data", "/data", read_only=True), pods.mount("tls", "/tls", read_only=True)]
    return pods.container(
        _READER,
        image,
        pods.resources("10m", "128Mi"),
        [*mounts, pods.temporary("tmp-reader")],
        args=[*_options(port), "--readonly", "posix", "/data"],
        env=_root(secret, "reader-access", "reader-secret"),
        readiness=pods.https_probe("/health", port),
    )


def _options(port: int) -> list[str]:
    return [f"--port=:{port}", "--cert=/tls/tls.crt", "--key=/tls/tls.key", "--quiet", "--health=/health"]


def _root(secret: pulumi.Input[str], access: str, key: str) -> list[core.v1.EnvVarArgs]:
    """Return the login that a gateway accepts, from these keys of the Secret."""
    return [
        pods.secret_env("ROOT_ACCESS_KEY_ID", secret, access),
        pods.secret_env("ROOT_SECRET_ACCESS_KEY", secret, key),
    ]
