"""The real engine hands the program a stack file alone, and the program refuses by the file where a value stands."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from delivery.clients.control_plane import control_plane
from delivery.clients.engine import Engine
from infra.contract.stacks import BASE, StackFiles, file_name
from infra.targets.variables import LOCAL_CONTEXT
from tests.program.harness import credentials
from tests.support.applied import applied
from tests.support.documents import TEAM, whole_values
from tests.support.pools import elastic
from tests.support.simulated import variables

STACK = "prod"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The real one, in a project of its own with this checkout's program, and a kubeconfig without the context."""
    kubeconfig = {"contexts": [{"name": "other", "context": {"cluster": "other"}}], "clusters": []}
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(kubeconfig))
    pointers = {"digits": {"release": None, "previous": None}}
    values = StackFiles(TEAM).own(STACK) | {"releasesFrom": None, "models": pointers}
    return applied(tmp_path, STACK, values, credentials(whole_values(STACK)), file)


def refused(engine: Engine, stack: str) -> str:
    """What a preview says that fails."""
    command = ["pulumi", "preview", "--stack", stack, "--non-interactive"]
    done = subprocess.run(command, cwd=engine.root, env=engine.variables, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


@pytest.mark.tools
def test_what_is_shared_is_known_to_the_program_and_null_is_null(engine: Engine) -> None:
    text = (engine.root / file_name(STACK)).read_text()
    assert "    context:" not in text and 'releasesFrom: ""' in text, "the engine writes null as an empty text"
    assert StackFiles(engine.root).values(STACK)["releasesFrom"] is None
    message = refused(engine, STACK)
    line = (TEAM / BASE).read_text().splitlines().index("    context: stellwerk") + 1
    assert f"{BASE}:{line}: stellwerk:cluster.context" in message, message


@pytest.mark.tools
def test_an_elastic_pool_is_refused_by_a_preview_before_karpenter_is_there(tmp_path: Path) -> None:
    pools = [elastic("burst", 2, {"name": "small", "cpu": "4", "memory": "8Gi"})]
    values = {**StackFiles(TEAM).own("dev"), "nodePools": pools}
    with control_plane(variables(), tmp_path / "plane") as plane:
        access = yaml.safe_load(plane.kubeconfig.read_text())
        access["contexts"][0]["name"] = LOCAL_CONTEXT
        (tmp_path / "kubeconfig").write_text(json.dumps(access))
        engine = applied(tmp_path / "project", "dev", values, credentials(whole_values("dev")), tmp_path / "kubeconfig")
        message = refused(engine, "dev")
    assert "stellwerk:nodePools.0" in message and "nodepools.karpenter.sh v1" in message, message
    assert "run `stellwerk cluster up`" in message and "Traceback" not in message, message
