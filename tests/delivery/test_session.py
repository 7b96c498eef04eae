"""Where commands work: another cluster than the local one leaves no trace of the local one."""

import subprocess
import sys
from pathlib import Path

import pytest

from delivery.commands.app import open_session
from infra.values import ROOT


def variables(folder: Path) -> dict[str, str]:
    """Return what a user of another cluster has set."""
    return {
        "PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"), "KUBECONFIG": str(folder / "kubeconfig"),
        "PULUMI_BACKEND_URL": f"file://{folder}/backend", "PULUMI_CONFIG_PASSPHRASE": "secret",
        "PULUMI_HOME": str(folder / "pulumi"),
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [("--help",), ("promote", "--help"), ("predict", "digits", "--env", "prod")])
def test_a_command_that_needs_no_cluster_makes_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "delivery.cli", *arguments]
    subprocess.run(command, cwd=ROOT, env=variables(tmp_path), capture_output=True, check=False)
    assert list((tmp_path / "state").rglob("*")) == []


def test_a_session_has_the_user_s_own_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    session = open_session()
    assert session.engine.backend_url == f"file://{tmp_path}/backend"
    assert session.variables["KUBECONFIG"] == str(tmp_path / "kubeconfig")
