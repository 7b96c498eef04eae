"""Tracking on a real MLflow server."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.tools import eventually, free_port, running

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with what the images of the tracking server and of training have."""
    folder = tmp_path_factory.mktemp("mlflow")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "-q", "-p", "3.11", folder], check=True)
    made = folder / "bin" / "python"
    for lock in ("training/requirements.txt", "components/tracking/images/mlflow/requirements.txt"):
        subprocess.run([uv, "pip", "install", "-q", "-p", made, "--require-hashes", "-r", ROOT / lock], check=True)
    return made


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_runs_of_the_same_data_that_begin_at_the_same_moment_are_all_recorded(python: Path, tmp_path: Path) -> None:
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", tmp_path / "server.log"
    store = ("--backend-store-uri", f"sqlite:///{tmp_path}/runs.db")
    server = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "4", *store]
    with running(server, log):
        eventually(lambda: _answers(url), log, 120)
        command = [python, "-m", "tests.training.runs_at_once", url, "20", "8"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False
