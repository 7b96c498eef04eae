"""The steps before a tracking server starts: is the database's schema this MLflow's, and a backup if it is not.

The scripts run as in their images; database and pg_dump are stand-ins.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[2] / "components" / "tracking" / "images"
FIRST, SECOND, THIRD = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"

_DRIVER = """
import os
class OperationalError(Exception): pass
class Cursor:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def execute(self, statement): self.statement = statement
    def fetchone(self):
        schema = os.environ["SCHEMA"]
        return (schema or None,) if "version_num" in self.statement else ("alembic_version" if schema else None,)
class Connection:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def cursor(self): return Cursor()
def connect(uri):
    assert uri == "postgresql://user:word@host/base", uri
    if os.path.exists(os.environ["DOWN"]):
        os.unlink(os.environ["DOWN"])
        raise OperationalError("the database system is starting up")
    return Connection()
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """An MLflow with three schemas, one after the other, and a database driver whose database has $SCHEMA."""
    versions = tmp_path / "packages" / "mlflow" / "store" / "db_migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "__init__.py").touch()
    for name, before in ((FIRST, "None"), (SECOND, f'"{FIRST}"'), (THIRD, f'"{SECOND}"')):
        (versions / f"{name}_x.py").write_text(f'"""x"""\nrevision = "{name}"\ndown_revision = {before}\n')
    metadata = tmp_path / "packages" / "mlflow-3.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mlflow\nVersion: 3.0\n")
    (tmp_path / "packages" / "psycopg2.py").write_text(_DRIVER)
    return tmp_path / "packages"


def check(packages: Path, schema: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    file = packages.parent / "upgrade"
    values = {
        "PYTHONPATH": str(packages), "SCHEMA": schema, "DOWN": str(packages / "down"),
        "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://user:word@host/base",
    }  # fmt: skip
    command = [sys.executable, IMAGES / "mlflow" / "schema.py", "check", file]
    return subprocess.run(command, env=values, capture_output=True, text=True, check=False), file


@pytest.mark.parametrize("schema", ["", THIRD], ids=["empty", "fits"])
def test_nothing_is_upgraded_without_need(packages: Path, schema: str) -> None:
    (packages.parent / "upgrade").write_text("left by an earlier start")
    done, file = check(packages, schema)
    assert (done.returncode, done.stdout, file.exists()) == (0, "", False), done.stderr


@pytest.mark.parametrize("schema", [FIRST, SECOND])
def test_an_older_schema_asks_for_an_upgrade(packages: Path, schema: str) -> None:
    done, file = check(packages, schema)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == schema
    assert f"MLflow 3.0 needs {THIRD}" in done.stdout


def test_a_newer_schema_is_an_error_that_says_what_to_do(packages: Path) -> None:
    done, file = check(packages, "dddddddddddd")
    assert done.returncode == 1
    assert "a newer MLflow made it" in done.stderr
    assert "docs/upgrades.md" in done.stderr
    assert not file.exists()


def test_it_waits_for_the_database(packages: Path) -> None:
    (packages / "down").touch()
    done, _ = check(packages, THIRD)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def save(backups: Path, dump: str) -> subprocess.CompletedProcess[str]:
    """`backup.sh save` with a pg_dump of this script."""
    tools = backups.parent / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "pg_dump").write_text(f"#!/bin/sh\n{dump}\n")
    (tools / "pg_dump").chmod(0o755)
    (backups.parent / "password").write_text("word")
    values = {
        "PATH": f"{tools}:{os.environ['PATH']}", "BACKUPS": str(backups),
        "PASSWORD_FILE": str(backups.parent / "password"),
    }  # fmt: skip
    command = ["sh", IMAGES / "postgres" / "backup.sh", "save", backups.parent / "upgrade"]
    return subprocess.run(command, env=values, capture_output=True, text=True, check=False)


WRITES = 'for word in "$@"; do case $word in --file=*) echo data > "${word#--file=}";; esac; done'


def test_no_backup_without_an_upgrade(backups: Path) -> None:
    assert save(backups, "exit 1").returncode == 0
    assert list(backups.iterdir()) == []


def test_the_five_newest_backups_stay(backups: Path) -> None:
    (backups.parent / "upgrade").write_text(FIRST)
    for day in range(1, 8):
        (backups / f"2020-01-0{day}T000000Z-{SECOND}.dump").touch()
    done = save(backups, WRITES)
    assert done.returncode == 0, done.stderr
    *older, newest = sorted(path.name for path in backups.iterdir())
    assert newest.endswith(f"-{FIRST}.dump")
    assert [name[:10] for name in older] == [f"2020-01-0{day}" for day in (4, 5, 6, 7)]


def test_the_password_is_that_of_the_file(backups: Path) -> None:
    (backups.parent / "upgrade").write_text(FIRST)
    assert save(backups, f'[ "$PGPASSWORD" = word ] && {{ {WRITES}; }}').returncode == 0
    assert [path.suffix for path in backups.iterdir()] == [".dump"]


def test_a_backup_that_fails_is_none_and_stops_the_start(backups: Path) -> None:
    (backups.parent / "upgrade").write_text(FIRST)
    assert save(backups, f"{WRITES}; exit 1").returncode != 0
    assert [path.suffix for path in backups.iterdir()] == [".part"]
    assert save(backups, WRITES).returncode == 0
    assert [path.suffix for path in backups.iterdir()] == [".dump"]
