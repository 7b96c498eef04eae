"""The tracking server's database: another MLflow's schema, a backup, and its restore."""

import json
from collections.abc import Iterator

import pytest

from tests.support.project import MODEL, Project, eventually

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]
PLATFORM = ("-n", "dev-platform")
NEWER = "ffffffffffff"


def sql(project: Project, statement: str) -> str:
    """As the database's administrator, over its socket."""
    psql = ["psql", "-U", "postgres", "-h", "/run/postgresql", "-Atc", statement, "mlflow"]
    return project.kubectl(*PLATFORM, "exec", "deployment/tracking-db", "--", *psql).strip()


@pytest.fixture
def newer_schema(project: Project) -> Iterator[None]:
    """The database says that a newer MLflow has upgraded it."""
    known = sql(project, "SELECT version_num FROM alembic_version")
    sql(project, f"UPDATE alembic_version SET version_num = '{NEWER}'")  # noqa: S608
    yield
    sql(project, f"UPDATE alembic_version SET version_num = '{known}'")  # noqa: S608
    project.kubectl(*PLATFORM, "delete", "pods", "-l", "app=tracking")
    eventually("the tracking server answers", 180, project.tracking_answers)


@pytest.mark.usefixtures("newer_schema")
def test_a_server_that_is_older_than_its_database_does_not_start_and_says_why(project: Project) -> None:
    project.kubectl(*PLATFORM, "delete", "pods", "-l", "app=tracking")

    def said() -> bool:
        log = ("logs", "-l", "app=tracking", "-c", "check", "--tail=20")
        return f"the database has schema {NEWER}" in project.kubectl(*PLATFORM, *log, ok=False)

    eventually("the first step says why", 120, said)


def test_a_backup_is_restored(project: Project) -> None:
    before = project.ask("runs", MODEL)
    create = ("create", "job", "x", "--from=cronjob/tracking-restore", "--dry-run=client", "-o", "json")
    job = json.loads(project.kubectl(*PLATFORM, *create))
    job["metadata"] = {"name": "tracking-save-and-restore", "namespace": "dev-platform"}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    # A name as the first step gives it; the scale of a server that stands still.
    container["command"] = [
        "sh",
        "-c",
        "echo test > /tmp/upgrade && /backup.sh save /tmp/upgrade && /backup.sh restore",
    ]
    file = project.state / "job.json"
    file.write_text(json.dumps(job))
    project.kubectl(*PLATFORM, "scale", "statefulset/tracking", "--replicas=0")
    try:
        project.kubectl("apply", "-f", str(file))
        name = "job/tracking-save-and-restore"
        project.kubectl(*PLATFORM, "wait", name, "--for=condition=complete", "--timeout=120s")
        log = project.kubectl(*PLATFORM, "logs", name)
    finally:
        file.unlink()
        project.kubectl(*PLATFORM, "delete", "job", "tracking-save-and-restore", "--ignore-not-found")
        project.kubectl(*PLATFORM, "scale", "statefulset/tracking", "--replicas=1")
    eventually("the tracking server answers", 180, project.tracking_answers)
    assert "saved " in log and "restored " in log
    assert project.ask("runs", MODEL) == before
