"""MLflow on PostgreSQL."""

from dataclasses import dataclass
from typing import TypedDict

import pulumi
from pulumi_kubernetes import apps, batch, core, meta, networking

from components.kit import pods, store_access
from components.kit.access import StoreAccessArgs

_APP = "tracking"
_DATABASE = "tracking-db"
_PORT = 5000
_SQL_PORT = 5432
_RESTORE = "tracking-restore"
_BACKUP_STORAGE = "2Gi"
# Says that the database needs an upgrade, and of which schema.
_UPGRADE = "/steps/upgrade"
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
    pull_secret: pulumi.Input[str]
    """Name of the Secret with the registry login."""
    database_password: pulumi.Input[str]
    """Password of the database's owner."""
    storage: str
    """Size of the database's volume, in bytes with a binary unit."""
    store: StoreAccessArgs
    """Store of the artefacts, in the folder `mlflow`; an identity is that of the service account `tracking`."""
    clients: pulumi.Input[str]
    """Namespace whose pods may connect."""


@dataclass(frozen=True)
class _Access:
    """Names of the Secret with the logins, of the claim with the backups, and of the service account, if any."""

    secret: pulumi.Input[str]
    backups: pulumi.Input[str]
    account: pulumi.Input[str] | None


class TrackingServer(pulumi.ComponentResource):
    """MLflow 3 with runs in PostgreSQL and artefacts in S3; reached inside the cluster only."""

    uri: pulumi.Output[str]
    """MLFLOW_TRACKING_URI inside the cluster."""

    def __init__(self, name: str, args: TrackingServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:TrackingServer", name, None, opts)
        namespace = args["namespace"]
        password = pulumi.Output.secret(args["database_password"])
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={
                "password": password,
                "uri": password.apply(
                    lambda word: f"postgresql+psycopg2://mlflow:{word}@{_DATABASE}:{_SQL_PORT}/mlflow"
                ),
                **store_access.secret_data(args["store"]),
            },
            opts=pods.child(self),
        )
        database = self._database(f"{name}-database", args, secret.metadata.name)
        backups = pods.claim(f"{name}-backups", namespace, _BACKUP_STORAGE, pods.child(self))
        account = store_access.service_account(f"{name}-account", _APP, namespace, args["store"], pods.child(self))
        access = _Access(secret.metadata.name, backups.metadata.name, account)
        server = self._stateful_set(name, args, self._server(args, access), [database])
        self._restore(f"{name}-restore", args, access)
        service = self._service(f"{name}-service", _APP, namespace, _PORT)
        pods.allow_ingress(
            f"{name}-ingress", namespace, _APP, _PORT, [pods.namespace_peer(args["clients"])], pods.child(self)
        )
        inside = [
            networking.v1.NetworkPolicyPeerArgs(pod_selector=meta.v1.LabelSelectorArgs(match_labels={"app": app}))
            for app in (_APP, _RESTORE)
        ]
        pods.allow_ingress(f"{name}-database-ingress", namespace, _DATABASE, _SQL_PORT, inside, pods.child(self))
        ready = pulumi.Output.all(namespace, server.metadata.name, service.metadata.name)
        self.uri = ready.apply(lambda known: f"http://{_APP}.{known[0]}.svc.cluster.local:{_PORT}")
        self.register_outputs({"uri": self.uri})

    def _database(self, name: str, args: TrackingServerArgs, secret: pulumi.Input[str]) -> apps.v1.Deployment:
        namespace = args["namespace"]
        claim = pods.claim(f"{name}-data", namespace, args["storage"], pods.child(self))
        container = core.v1.ContainerArgs(
            name="postgres",
            image=args["database_image"],
            env=[
                core.v1.EnvVarArgs(name="DATABASE", value="mlflow"),
                core.v1.EnvVarArgs(name="PASSWORD_FILE", value="/secret/password"),
            ],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources("50m", "512Mi"),
            readiness_probe=pods.tcp_probe(_SQL_PORT),
            volume_mounts=[
                pods.mount("data", "/var/lib/postgresql"),
                pods.mount("secret", "/secret", read_only=True),
                pods.mount("run", "/run/postgresql"),
                pods.mount("tmp", "/tmp"),  # noqa: S108
                pods.mount("shm", "/dev/shm"),  # noqa: S108
            ],
        )
        password = core.v1.SecretVolumeSourceArgs(
            secret_name=secret, default_mode=0o440, items=[core.v1.KeyToPathArgs(key="password", path="password")]
        )
        pod = core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            automount_service_account_token=False,
            image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=args["pull_secret"])],
            containers=[container],
            volumes=[
                pods.claim_volume("data", claim.metadata.name),
                core.v1.VolumeArgs(name="secret", secret=password),
                *(pods.scratch_volume(volume) for volume in ("run", "tmp", "shm")),
            ],
        )
        self._service(f"{name}-service", _DATABASE, namespace, _SQL_PORT)
        return self._deployment(name, _DATABASE, args, pod)

    def _server(self, args: TrackingServerArgs, access: _Access) -> core.v1.PodSpecArgs:
        secret, bucket = access.secret, args["store"]["bucket"]
        located: StoreAccessArgs = {
            **args["store"],
            "region": args["store"].get("region") or store_access.DEFAULT_REGION,
        }
        hosts = pulumi.Output.from_input(args["namespace"]).apply(
            lambda space: f"{_APP}:*,{_APP}.{space}.svc.cluster.local:*,localhost:*,127.0.0.1:*,10.*"
        )
        container = core.v1.ContainerArgs(
            name=_APP,
            image=args["image"],
            args=["server", "--host=0.0.0.0", f"--port={_PORT}", "--workers=1"],
            env=[
                pods.secret_env("MLFLOW_BACKEND_STORE_URI", secret, "uri"),
                core.v1.EnvVarArgs(name="MLFLOW_SERVER_ALLOWED_HOSTS", value=hosts),
                core.v1.EnvVarArgs(name="MLFLOW_ARTIFACTS_DESTINATION", value=f"s3://{bucket}/mlflow"),
                *store_access.environment(located, secret, _ENDPOINT_VARIABLES),
            ],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources("100m", "1536Mi"),
            readiness_probe=core.v1.ProbeArgs(
                http_get=core.v1.HTTPGetActionArgs(path="/health", port=_PORT), period_seconds=2
            ),
            volume_mounts=[*store_access.trust_mounts(args["store"]), pods.mount("tmp", "/tmp")],  # noqa: S108
        )
        return core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            service_account_name=access.account,
            automount_service_account_token=False,
            image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=args["pull_secret"])],
            init_containers=_migration(args, access),
            containers=[container],
            volumes=[
                *store_access.trust_volumes(args["store"], secret),
                pods.scratch_volume("tmp", "1Gi"),
                pods.scratch_volume("work", "1Mi"),
                pods.claim_volume("backups", access.backups),
            ],
        )

    def _restore(self, name: str, args: TrackingServerArgs, access: _Access) -> None:
        """Runs when a Job is made of it by hand, never by itself."""
        container = _backup_container("restore", ["restore"], args, access)
        pod = core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            automount_service_account_token=False,
            image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=args["pull_secret"])],
            restart_policy="Never",
            containers=[container],
            volumes=[pods.scratch_volume("tmp", "3Gi"), pods.claim_volume("backups", access.backups)],
        )
        labels = meta.v1.ObjectMetaArgs(labels={"app": _RESTORE})
        job = batch.v1.JobSpecArgs(backoff_limit=0, template=core.v1.PodTemplateSpecArgs(metadata=labels, spec=pod))
        batch.v1.CronJob(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=_RESTORE, namespace=args["namespace"]),
            spec=batch.v1.CronJobSpecArgs(
                schedule="0 0 1 1 *", suspend=True, job_template=batch.v1.JobTemplateSpecArgs(spec=job)
            ),
            opts=pods.child(self),
        )

    def _stateful_set(
        self, name: str, args: TrackingServerArgs, pod: core.v1.PodSpecArgs, depends_on: list[pulumi.Resource]
    ) -> apps.v1.StatefulSet:
        """The server's one pod has a name that is known: a role lets people forward a port to it, and to no other."""
        return apps.v1.StatefulSet(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=args["namespace"]),
            spec=apps.v1.StatefulSetSpecArgs(
                replicas=1,
                service_name=_APP,
                # Otherwise a pod that never gets ready would not be replaced by a better one.
                pod_management_policy="Parallel",
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": _APP}),
                template=core.v1.PodTemplateSpecArgs(metadata=meta.v1.ObjectMetaArgs(labels={"app": _APP}), spec=pod),
            ),
            opts=pods.child(self, depends_on),
        )

    def _deployment(
        self, name: str, app: str, args: TrackingServerArgs, pod: core.v1.PodSpecArgs
    ) -> apps.v1.Deployment:
        return apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=app, namespace=args["namespace"]),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=1,
                # Two databases on one volume would damage it.
                strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": app}),
                template=core.v1.PodTemplateSpecArgs(metadata=meta.v1.ObjectMetaArgs(labels={"app": app}), spec=pod),
            ),
            opts=pods.child(self),
        )

    def _service(self, name: str, app: str, namespace: pulumi.Input[str], port: int) -> core.v1.Service:
        return core.v1.Service(
            name,
            metadata=meta.v1.ObjectMetaArgs(
                # The database's Service is made before its pod is ready.
                name=app,
                namespace=namespace,
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=core.v1.ServiceSpecArgs(
                selector={"app": app}, ports=[core.v1.ServicePortArgs(port=port, target_port=port)]
            ),
            opts=pods.child(self),
        )


def _migration(args: TrackingServerArgs, access: _Access) -> list[core.v1.ContainerArgs]:
    """Before a server of another version takes requests: a look at the schema, a backup, the upgrade.

    The last two do nothing when the first has seen that the schema fits.
    """
    check, upgrade = (
        core.v1.ContainerArgs(
            name=step,
            image=args["image"],
            command=["python", "/opt/schema.py", step, _UPGRADE],
            env=[pods.secret_env("MLFLOW_BACKEND_STORE_URI", access.secret, "uri")],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources("100m", "1Gi"),
            volume_mounts=[pods.mount("work", "/steps"), pods.mount("tmp", "/tmp")],  # noqa: S108
        )
        for step in ("check", "upgrade")
    )
    backup = _backup_container("backup", ["save", _UPGRADE], args, access, pods.mount("work", "/steps", read_only=True))
    return [check, backup, upgrade]


def _backup_container(
    name: str, command: list[str], args: TrackingServerArgs, access: _Access, *mounts: core.v1.VolumeMountArgs
) -> core.v1.ContainerArgs:
    place = {"BACKUPS": "/backups", "PGHOST": _DATABASE, "PGUSER": "mlflow", "PGDATABASE": "mlflow"}
    return core.v1.ContainerArgs(
        name=name,
        image=args["database_image"],
        command=["/backup.sh", *command],
        env=[
            *(core.v1.EnvVarArgs(name=key, value=value) for key, value in place.items()),
            pods.secret_env("PGPASSWORD", access.secret, "password"),
        ],
        security_context=pods.RESTRICTED_CONTAINER,
        resources=pods.resources("50m", "256Mi"),
        volume_mounts=[pods.mount("backups", "/backups"), pods.mount("tmp", "/tmp"), *mounts],  # noqa: S108
    )
