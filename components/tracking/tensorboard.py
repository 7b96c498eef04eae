"""TensorBoard beside the tracking server."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit import pods, ports, store_access
from components.kit.access import PodResourcesArgs, StoreAccessArgs
from components.kit.kubernetes import core
from components.kit.names import TENSORBOARD
from components.kit.network import namespace_peer
from components.kit.volumes import scratch_volume
from components.kit.workload import Workload

_LOGS = "/logs"
_GIB = 1024**3
# Of all event files together; a run writes some megabytes.
_ROOM_GIB = 4
_LOOK_SECONDS = 15
_RESOURCES: PodResourcesArgs = {"cpu": "100m", "memory": "1Gi"}


class TensorBoardArgs(TypedDict):
    """Arguments of TensorBoard."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: pulumi.Input[str]
    """Image of TensorBoard with boto3 (components/tracking/images)."""
    pull_secret: NotRequired[pulumi.Input[str] | None]
    """Name of the Secret with the registry login."""
    store: StoreAccessArgs
    """Store of the runs' artefacts, in the folder `mlflow`; it is only read."""
    clients: Sequence[pulumi.Input[str]]
    """Namespaces whose pods may connect; none where people forward a port to its pod alone."""
    path: NotRequired[str]
    """Path before all of its own, such as `/board`, by which a gateway knows it; none when absent."""
    resources: NotRequired[PodResourcesArgs]
    """What it asks for, beside what fetches the files; 100m and 1Gi when absent."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""


class TensorBoard(pulumi.ComponentResource):
    """TensorBoard over the event files that runs have logged as artefacts, the newest 4 GiB of them.

    It has no login, as the tracking server has none: its network policy is its wall, and who lets people in from
    outside asks for theirs (Gateway).
    """

    url: pulumi.Output[str]
    """URL inside the cluster, without the path."""

    def __init__(self, name: str, args: TensorBoardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:TensorBoard", name, None, opts)
        namespace, store = args["namespace"], args["store"]
        workload = Workload(name, TENSORBOARD, namespace, self, args.get("priority_class"))
        secret = store_access.store_secret(workload, store)
        pod = pods.pod(
            [_board(args), _fetcher(args, secret)],
            [
                *store_access.trust_volumes(store, secret),
                scratch_volume("tmp"),
                scratch_volume("tmp-fetcher"),
                scratch_volume("logs", f"{_ROOM_GIB + 1}Gi"),
            ],
            pull_secret=args.get("pull_secret"),
            account=store_access.store_account(workload, TENSORBOARD, store),
        )
        # A name that is known, as the tracking server's: a role lets people forward a port to it.
        server = workload.stateful_set(pods.template(TENSORBOARD, pod))
        service = workload.service(ports.TENSORBOARD, ports.TENSORBOARD)
        if args["clients"]:
            workload.allow([ports.TENSORBOARD], [namespace_peer(client) for client in args["clients"]])
        ready = pulumi.Output.all(namespace, server.metadata.name, service.metadata.name)
        self.url = ready.apply(lambda known: f"http://{TENSORBOARD}.{known[0]}.svc.cluster.local:{ports.TENSORBOARD}")
        self.register_outputs({"url": self.url})


def _board(args: TensorBoardArgs) -> core.v1.ContainerArgs:
    asked = args.get("resources", _RESOURCES)
    return pods.container(
        TENSORBOARD,
        args["image"],
        pods.resources(asked["cpu"], asked["memory"]),
        [pods.mount("logs", _LOGS, read_only=True), pods.temporary()],
        args=[
            f"--logdir={_LOGS}",
            "--host=0.0.0.0",
            f"--port={ports.TENSORBOARD}",
            f"--path_prefix={args.get('path', '')}",
            f"--reload_interval={_LOOK_SECONDS}",
            # A file is fetched again as it grows, also after another one has begun.
            "--reload_multifile=true",
            # One process that reads in Python: the other reader is a binary of its own, which needs a port.
            "--load_fast=false",
        ],
        readiness=pods.http_probe(f"{args.get('path', '')}/", ports.TENSORBOARD),
    )


def _fetcher(args: TensorBoardArgs, secret: pulumi.Input[str] | None) -> core.v1.ContainerArgs:
    store = args["store"]
    located: StoreAccessArgs = {**store, "region": store.get("region") or store_access.DEFAULT_REGION}
    values = {
        "EVENTS_BUCKET": store["bucket"],
        "EVENTS_PREFIX": "mlflow/",
        "EVENTS_FOLDER": _LOGS,
        "EVENTS_BYTES": str(_ROOM_GIB * _GIB),
        "EVENTS_SECONDS": str(_LOOK_SECONDS),
    }
    return pods.container(
        "fetcher",
        args["image"],
        pods.resources("10m", "256Mi"),
        [pods.mount("logs", _LOGS), *store_access.trust_mounts(store), pods.temporary("tmp-fetcher")],
        command=["python", "/opt/event_files.py"],
        env=[*pods.env(values), *store_access.environment(located, secret)],
    )
