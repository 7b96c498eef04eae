"""A project of the real engine with this checkout's program and the stack file of one environment."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml as plain

from delivery.clients.engine import KEY, Engine
from infra.contract.stacks import file_name
from tests.program.harness import ROOT, certificate
from tests.support.documents import TEAM, yaml
from tests.support.tools import tool


def applied(
    folder: Path, stack: str, values: Mapping[str, Any], credentials: Mapping[str, Any], kubeconfig: Path
) -> Engine:
    """Return the engine in a new project below `folder`; the stack has these values of its own, and exists.

    Its state, plugins and folder of work are below `folder`, too: nothing is there of a local cluster.
    """
    project_folder = folder / "project"
    shutil.copytree(TEAM / "stacks", project_folder / "stacks")
    (project_folder / "models").mkdir()
    project = yaml().load(ROOT / "Pulumi.yaml")
    project["main"] = str(ROOT / "infra")
    (project_folder / ".venv").symlink_to(sys.prefix)
    yaml().dump(project, project_folder / "Pulumi.yaml")
    config = {f"stellwerk:{key}": value for key, value in {**values, "caCertificate": certificate("ca")}.items()}
    (project_folder / file_name(stack)).write_text(plain.safe_dump({"config": config}))
    # The language host takes Python from PATH.
    path = os.pathsep.join([str(tool("pulumi").parent), f"{sys.prefix}/bin", os.environ["PATH"]])
    variables = {
        "PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), "STELLWERK_WORK": str(folder / "work"),
        "KUBECONFIG": str(kubeconfig), "PULUMI_BACKEND_URL": f"file://{folder}/backend",
        "PULUMI_CONFIG_PASSPHRASE": "word", "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_HOME": str(folder / "home"),
    }  # fmt: skip
    made = Engine(project_folder, variables)
    made.stacks()
    made.run("stack", "init", stack, "--no-select")
    made.run("config", "set", KEY, "--secret", "--stack", stack, stdin=json.dumps(credentials))
    return made
