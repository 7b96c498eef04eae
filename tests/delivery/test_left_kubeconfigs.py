"""The credentials of a cluster are left nowhere: what a provider keeps of them goes with the engine's command."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.clients.absent_cluster import absent_cluster
from delivery.clients.engine import Engine
from tests.support.rendered import rendered

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
CONTEXT = "somewhere"
# As the program does where another stack makes the cluster: it knows the kubeconfig from that stack's outputs.
PROGRAM = f"""
import os
from pathlib import Path
from components.kit import kubernetes

text = Path(os.environ["KUBECONFIG"]).read_text() if os.environ["GIVEN"] == "text" else ""
kubernetes.Provider("cluster", context="{CONTEXT}", kubeconfig=text)
Path(os.environ["TMPDIR"], "of-the-program").touch()
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    """Return the real engine with the program, which gives its provider a kubeconfig as a text, or none."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    made = rendered(tmp_path, program)
    (tmp_path / "temporary").mkdir()
    variables = {**made.variables, "TMPDIR": str(tmp_path / "temporary")}
    with absent_cluster(CONTEXT, tmp_path) as kubeconfig:
        yield lambda given: Engine(made.root, {**variables, "KUBECONFIG": str(kubeconfig), "GIVEN": given})


def files(folder: Path) -> list[str]:
    """Return the names of all files that the engine could have left."""
    places = [folder / "temporary", folder / "work"]
    return sorted(path.name for place in places for path in place.rglob("*") if path.is_file())


def test_no_command_of_the_engine_leaves_the_kubeconfig_that_its_provider_was_given(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    given = engine("text")
    given.run("stack", "init", "prod", "--no-select")
    given.run("preview", "--stack", "prod")
    assert given.show("up", "--stack", "prod", "--yes", "--skip-preview")
    assert given.show("destroy", "--stack", "prod", "--yes", "--skip-preview")
    assert files(tmp_path) == []


def test_a_provider_that_reads_what_kubeconfig_names_keeps_no_copy(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    """As in an environment's own program, and by `pulumi` itself: nothing takes files away there."""
    own = engine("nothing")
    own.run("stack", "init", "prod", "--no-select")
    command = ["pulumi", "preview", "--stack", "prod", "--non-interactive"]
    assert subprocess.run(command, cwd=own.root, env=own.variables, check=False).returncode == 0
    assert files(tmp_path) == ["of-the-program"]
