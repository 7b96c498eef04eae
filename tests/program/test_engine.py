"""The real engine hands the program a stack file alone, and the program refuses by the file where a value stands."""

import json
import subprocess
from pathlib import Path

import pytest

from delivery.clients.engine import Engine
from infra.contract.stacks import BASE, StackFiles, file_name
from tests.program.harness import credentials
from tests.support.applied import applied
from tests.support.documents import TEAM, whole_values

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


@pytest.mark.tools
def test_what_is_shared_is_known_to_the_program_and_null_is_null(engine: Engine) -> None:
    text = (engine.root / file_name(STACK)).read_text()
    assert "    context:" not in text and 'releasesFrom: ""' in text, "the engine writes null as an empty text"
    assert StackFiles(engine.root).values(STACK)["releasesFrom"] is None
    command = ["pulumi", "preview", "--stack", STACK, "--non-interactive"]
    done = subprocess.run(command, cwd=engine.root, env=engine.variables, capture_output=True, text=True, check=False)
    message = done.stdout + done.stderr
    assert done.returncode != 0, message
    line = (TEAM / BASE).read_text().splitlines().index("    context: stellwerk") + 1
    assert f"{BASE}:{line}: stellwerk:cluster.context" in message, message
