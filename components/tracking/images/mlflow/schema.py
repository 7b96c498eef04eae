"""Brings the database to this MLflow's schema: `check` says in a file whether that is needed, `upgrade` does it.

Between the two the database is backed up. A database without tables is left alone: the server makes them.
Environment: MLFLOW_BACKEND_STORE_URI. Argument: the file. Neither MLflow nor its libraries are imported for a look:
that would take seconds at every start.
"""

import importlib.metadata
import os
import re
import sys
import time
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]

WAIT_SECONDS = 300


def revisions() -> tuple[str, set[str]]:
    """The newest schema of this MLflow's migrations, and all of them: each names the one before it."""
    folder = Path(str(importlib.metadata.distribution("mlflow").locate_file("mlflow/store/db_migrations/versions")))
    known: set[str] = set()
    before: set[str] = set()
    for file in folder.glob("*.py"):
        for name, value in re.findall(r"^(revision|down_revision) = (.*)", file.read_text(), re.MULTILINE):
            (known if name == "revision" else before).update(re.findall(r"[0-9a-f]{12}", value))
    (newest,) = known - before
    return newest, known


def connect(uri: str) -> "psycopg2.extensions.connection":
    """Waits until the database answers."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return psycopg2.connect(uri.replace("+psycopg2", "", 1))
        except psycopg2.OperationalError as error:
            if time.monotonic() > end:
                sys.exit(f"the database does not answer: {error}")
            time.sleep(0.5)


def current(uri: str) -> str | None:
    """The database's schema; None if it has none yet."""
    with connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version')")
        if cursor.fetchone() == (None,):
            return None
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
        return str(row[0]) if row else None


def check(uri: str, file: Path) -> None:
    """Write the schema to `file` if it has to be upgraded; ends with an error if no migration leads from it here."""
    (newest, known), schema = revisions(), current(uri)
    version = importlib.metadata.version("mlflow")
    file.unlink(missing_ok=True)
    if schema in (None, newest):
        return
    if schema not in known:
        sys.exit(
            f"the database has schema {schema}, which MLflow {version} does not know: a newer MLflow made it. "
            "Go back to that version, or restore the backup of before its upgrade (docs/upgrades.md)"
        )
    print(f"the database has schema {schema}, MLflow {version} needs {newest}: backup, then upgrade", flush=True)
    file.write_text(str(schema))


def upgrade(uri: str, file: Path) -> None:
    """Migrate if `file` is there."""
    if file.exists():
        os.execvp("mlflow", ["mlflow", "db", "upgrade", uri])  # noqa: S606


if __name__ == "__main__":
    {"check": check, "upgrade": upgrade}[sys.argv[1]](os.environ["MLFLOW_BACKEND_STORE_URI"], Path(sys.argv[2]))
