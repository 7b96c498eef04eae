"""MLflow on PostgreSQL."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit import pods, ports, store_access
from components.kit.access import PodResourcesArgs, StoreAccessArgs
from components.kit.kubernetes import core
from components.kit.names import TRACKING
from components.kit.network import namespace_peer
from components.kit.volumes import scratch_volume
from components.kit.workload import Workload
from components.tracking.database import (
    DATABASE_RESOURCES,
    Database,
    declare_backups,
    declare_database,
    migration,
    migration_volumes,
    uri,
)

# MLflow's own client of the store reads another name than boto3.
_ENDPOINT_VARIABLES = (*store_access.ENDPOINT_VARIABLES, "MLFLOW_S3_ENDPOINT_URL")


class TrackingServerArgs(TypedDict):
    """Arguments of TrackingServer."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: pulumi.Input[str]
    """Image of MLflow with boto3 and psycopg2."""
    database_image: pulumi.Input[str]
    """Image of PostgreSQL (components/tracking/images/postgres)."""
    pull_secret: NotRequired[pulumi.Input[str] | None]
    """Name of the Secret with the registry login. Absent where the nodes log in by themselves."""
    database_password: pulumi.Input[str]
    """Password of the database's owner."""
    storage: str
    """Size of the database's volume, in bytes with a binary unit."""
    store: StoreAccessArgs
    """Store of the artefacts, in the folder `mlflow`; an identity is that of the service account `tracking`."""
    clients: Sequence[pulumi.Input[str]]
    """Namespaces whose pods may connect."""
    resources: NotRequired[PodResourcesArgs]
    """What the server's pod asks for; 100m and 1536Mi when absent."""
    database_resources: NotRequired[PodResourcesArgs]
    """What the database's pod asks for; 50m and 512Mi when absent."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""


class TrackingServer(pulumi.ComponentResource):
    """MLflow 3 with runs in PostgreSQL and artefacts in S3; reached inside the cluster only."""

    uri: pulumi.Output[str]
    """MLFLOW_TRACKING_URI inside the cluster."""

    def __init__(self, name: str, args: TrackingServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:TrackingServer", name, None, opts)
        namespace, store = args["namespace"], args["store"]
        workload = Workload(name, TRACKING, namespace, self, args.get("priority_class"))
        password = pulumi.Output.secret(args["database_password"])
        secret = workload.secret({"password": password, "uri": uri(password), **store_access.secret_data(store)})
        database = Database(
            args["database_image"],
            args["image"],
            args.get("pull_secret"),
            secret,
            args.get("database_resources", DATABASE_RESOURCES),
        )
        declare_database(workload, args["storage"], database)
        pod = pods.pod(
            [_server(args, secret)],
            [
                *store_access.trust_volumes(store, secret),
                scratch_volume("tmp", "1Gi"),
                *migration_volumes(database, declare_backups(workload, database)),
            ],
            init_containers=migration(database),
            pull_secret=args.get("pull_secret"),
            account=store_access.store_account(workload, TRACKING, store),
        )
        # Its one pod has a name that is known: a role lets people forward a port to it, and to no other. Its first step
        # waits for the database: both images are pulled at the same time.
        server = workload.stateful_set(pods.template(TRACKING, pod))
        service = workload.service(ports.TRACKING, ports.TRACKING)
        workload.allow([ports.TRACKING], [namespace_peer(client) for client in args["clients"]])
        ready = pulumi.Output.all(namespace, server.metadata.name, service.metadata.name)
        self.uri = ready.apply(lambda known: f"http://{TRACKING}.{known[0]}.svc.cluster.local:{ports.TRACKING}")
        self.register_outputs({"uri": self.uri})


def _server(args: TrackingServerArgs, secret: pulumi.Input[str]) -> core.v1.ContainerArgs:
    store, asked = args["store"], args.get("resources", {"cpu": "100m", "memory": "1536Mi"})
    hosts = pulumi.Output.from_input(args["namespace"]).apply(
        lambda space: f"{TRACKING}:*,{TRACKING}.{space}.svc.cluster.local:*,localhost:*,127.0.0.1:*,10.*"
    )
    located: StoreAccessArgs = {**store, "region": store.get("region") or store_access.DEFAULT_REGION}
    return pods.container(
        TRACKING,
        args["image"],
        pods.resources(asked["cpu"], asked["memory"]),
        [*store_access.trust_mounts(store), pods.temporary()],
        args=["server", "--host=0.0.0.0", f"--port={ports.TRACKING}", "--workers=1"],
        env=[
            pods.secret_env("MLFLOW_BACKEND_STORE_URI", secret, "uri"),
            *pods.env(
                {
                    "MLFLOW_SERVER_ALLOWED_HOSTS": hosts,
                    "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{store['bucket']}/mlflow",
                }
            ),
            *store_access.environment(located, secret, _ENDPOINT_VARIABLES),
        ],
        readiness=pods.http_probe("/health", ports.TRACKING),
        liveness=pods.http_probe("/version", ports.TRACKING),
    )
