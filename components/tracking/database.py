"""The tracking server's PostgreSQL, its backups, and the steps before a server of another version starts."""

from dataclasses import dataclass

import pulumi

from components.kit import pods, ports
from components.kit.access import PodResourcesArgs
from components.kit.kubernetes import batch, core
from components.kit.network import app_peer
from components.kit.volumes import claim_volume, scratch_volume, secret_volume
from components.kit.workload import Workload, one_at_a_time

_APP = "tracking-db"
_RESTORE = "tracking-restore"
DATABASE_RESOURCES: PodResourcesArgs = {"cpu": "50m", "memory": "512Mi"}
_BACKUP_STORAGE = "2Gi"
_OWNER = "mlflow"
# Says that the database needs an upgrade, and of which schema.
_UPGRADE = "/steps/upgrade"


@dataclass(frozen=True)
class Database:
    """Images by reference, and names of the Secrets: the registry login, and `password` and `uri` of the database.

    `resources` are what its pod asks for.
    """

    image: pulumi.Input[str]
    server_image: pulumi.Input[str]
    pull_secret: pulumi.Input[str] | None
    secret: pulumi.Input[str]
    resources: PodResourcesArgs


def uri(password: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the database's URL with this password of its owner."""
    return password.apply(lambda word: f"postgresql+psycopg2://{_OWNER}:{word}@{_APP}:{ports.TRACKING_DATABASE}/mlflow")


def declare_database(server: Workload, storage: str, database: Database) -> None:
    """Declare PostgreSQL on a volume of `storage` bytes (with a binary unit); server and restore alone reach it."""
    workload = Workload(f"{server.name}-database", _APP, server.namespace, server.parent, server.priority)
    container = pods.container(
        "postgres",
        database.image,
        pods.resources(database.resources["cpu"], database.resources["memory"]),
        [
            pods.mount("data", "/var/lib/postgresql"),
            pods.mount("secret", "/secret", read_only=True),
            pods.mount("run", "/run/postgresql"),
            pods.temporary(),
            pods.mount("shm", "/dev/shm"),  # noqa: S108
        ],
        env=pods.env({"DATABASE": "mlflow", "PASSWORD_FILE": "/secret/password"}),
        readiness=pods.tcp_probe(ports.TRACKING_DATABASE),
    )
    volumes = [
        claim_volume("data", workload.claim(storage)),
        _password(database),
        *(scratch_volume(volume) for volume in ("run", "tmp", "shm")),
    ]
    workload.service(ports.TRACKING_DATABASE, ports.TRACKING_DATABASE)
    workload.allow([ports.TRACKING_DATABASE], [app_peer(server.app), app_peer(_RESTORE)])
    pod = pods.pod([container], volumes, pull_secret=database.pull_secret)
    # Two databases on one volume would damage it.
    workload.deployment(pods.template(_APP, pod), strategy=one_at_a_time())


def declare_backups(server: Workload, database: Database) -> pulumi.Output[str]:
    """Declare the volume of the backups and what restores one of them; return the name of the volume's claim."""
    claim = server.claim(_BACKUP_STORAGE, "backups")
    workload = Workload(f"{server.name}-restore", _RESTORE, server.namespace, server.parent)
    pod = pods.pod(
        [_backup_container("restore", ["restore"], database)],
        [scratch_volume("tmp", "3Gi"), claim_volume("backups", claim), _password(database)],
        pull_secret=database.pull_secret,
        restart_policy="Never",
    )
    job = batch.v1.JobSpecArgs(backoff_limit=0, template=pods.template(_RESTORE, pod))
    workload.job_template(job, "0 0 1 1 *")
    return claim


def migration(database: Database) -> list[core.v1.ContainerArgs]:
    """Return the steps before a server takes requests: a look at the schema, a backup, the upgrade.

    The last two do nothing when the first has seen that the schema fits.
    """
    check, upgrade = (
        pods.container(
            step,
            database.server_image,
            pods.resources("100m", "1Gi"),
            [pods.mount("work", "/steps"), pods.temporary()],
            command=["python", "/opt/schema.py", step, _UPGRADE],
            env=[pods.secret_env("MLFLOW_BACKEND_STORE_URI", database.secret, "uri")],
        )
        for step in ("check", "upgrade")
    )
    steps = pods.mount("work", "/steps", read_only=True)
    return [check, _backup_container("backup", ["save", _UPGRADE], database, steps), upgrade]


def migration_volumes(database: Database, backups: pulumi.Input[str]) -> list[core.v1.VolumeArgs]:
    """Return the volumes that the steps need besides the server's `tmp`."""
    return [scratch_volume("work", "1Mi"), claim_volume("backups", backups), _password(database)]


def _password(database: Database) -> core.v1.VolumeArgs:
    return secret_volume("secret", database.secret, ["password"])


def _backup_container(
    name: str, command: list[str], database: Database, *mounts: core.v1.VolumeMountArgs
) -> core.v1.ContainerArgs:
    values = {"BACKUPS": "/backups", "PASSWORD_FILE": "/secret/password"}
    values |= {"PGHOST": _APP, "PGUSER": _OWNER, "PGDATABASE": "mlflow"}
    return pods.container(
        name,
        database.image,
        pods.resources("50m", "256Mi"),
        [pods.mount("backups", "/backups"), pods.mount("secret", "/secret", read_only=True), pods.temporary(), *mounts],
        command=["/backup.sh", *command],
        env=pods.env(values),
    )
