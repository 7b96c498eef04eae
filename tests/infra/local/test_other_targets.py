"""The command on somebody else's cluster: the local target is neither needed nor made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.toolchain.paths import CHECKOUT, LINK


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder, and beside it an engine and a kubectl that know of nothing."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, answer in {"pulumi": "[]", "kubectl": "{}"}.items():
        (tools / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (tools / name).chmod(0o755)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def stellwerk(home: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    """The command as its user's shell starts it."""
    variables = {
        "HOME": str(home),
        "PATH": f"{home.parent}/bin:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(CHECKOUT),
        **given,
    }
    return subprocess.run(
        [sys.executable, "-m", "delivery.cli", *arguments],
        cwd=CHECKOUT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_with_everything_set_leaves_no_trace(home: Path) -> None:
    backend = home.parent / "backend"
    done = stellwerk(
        home,
        "drift",
        "--json",
        KUBECONFIG="/nowhere/kubeconfig",
        PULUMI_BACKEND_URL=f"file://{backend}",
        PULUMI_CONFIG_PASSPHRASE="own",
    )
    assert done.returncode == 0, done.stderr
    assert '"environments": {}' in done.stdout
    assert list(home.iterdir()) == []
    # Another test may make it meanwhile; from here it would lead to a cache below this home.
    assert not LINK.is_symlink() or not LINK.readlink().is_relative_to(home)


def test_without_a_target_the_message_names_both_ways_to_one(home: Path) -> None:
    done = stellwerk(home, "drift")
    assert done.returncode == 1
    assert "PULUMI_BACKEND_URL is not set, and this machine has no local cluster" in done.stderr
    assert "run `stellwerk cluster up`, or" in done.stderr
    assert list(home.iterdir()) == []


def test_whoever_asks_for_the_local_target_gets_it(home: Path) -> None:
    done = stellwerk(home, "env", XDG_CACHE_HOME=str(Path.home() / ".cache"))
    state = home / ".local" / "state" / "stellwerk"
    assert done.returncode == 0, done.stderr
    assert f"export PULUMI_CONFIG_PASSPHRASE_FILE={state}/passphrase" in done.stdout
    assert (state / "passphrase").is_file()
