"""The real engine hands the program a stack file alone, and the program refuses by the file where a value stands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml as plain

from delivery.clients.engine import KEY, Engine
from infra.contract.stacks import BASE, StackFiles, file_name
from tests.program.harness import ROOT, certificate, credentials
from tests.support.documents import TEAM, whole_values, yaml
from tests.support.tools import tool

STACK = "prod"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The real one, in a project of its own with this checkout's program, and a kubeconfig without the context."""
    folder = tmp_path / "project"
    shutil.copytree(TEAM / "stacks", folder / "stacks")
    project = yaml().load(ROOT / "Pulumi.yaml")
    project["main"] = str(ROOT / "infra")
    (folder / ".venv").symlink_to(sys.prefix)
    yaml().dump(project, folder / "Pulumi.yaml")
    kubeconfig = {"contexts": [{"name": "other", "context": {"cluster": "other"}}], "clusters": []}
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
    own = StackFiles(TEAM).own(STACK)
    pointers = {"digits": {"release": None, "previous": None}}
    values = own | {"releasesFrom": None, "models": pointers, "caCertificate": certificate("ca")}
    config = {f"stellwerk:{key}": value for key, value in values.items()}
    (folder / file_name(STACK)).write_text(plain.safe_dump({"config": config}))
    # The language host takes Python from PATH.
    path = os.pathsep.join([str(tool("pulumi").parent), f"{sys.prefix}/bin", os.environ["PATH"]])
    variables = {
        "PATH": path, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(folder / "kubeconfig"), "PULUMI_BACKEND_URL": f"file://{tmp_path}/backend",
        "PULUMI_CONFIG_PASSPHRASE": "word", "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    made = Engine(folder, variables)
    made.stacks()
    made.run("stack", "init", STACK, "--no-select")
    secrets = json.dumps(credentials(whole_values(STACK)))
    made.run("config", "set", KEY, "--secret", "--stack", STACK, stdin=secrets)
    return made


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
