"""A program of components that the real engine applies to a control plane of a test's own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.clients.control_plane import ControlPlane
from tests.support.project import ROOT
from tests.support.tools import tool

Object = dict[str, Any]


@dataclass(frozen=True)
class Applied:
    """A Pulumi project whose program is a text, with a stack of its own."""

    folder: Path
    variables: Mapping[str, str]

    def up(self, program: str) -> str:
        """Apply the program, and then once more: nothing is left to do; return what the engine says."""
        self._write(program)
        said = self.run("up", "--yes", "--skip-preview")
        self.run("preview", "--expect-no-changes")
        return said

    def refused(self, program: str) -> str:
        """Return why the engine does not apply the program."""
        self._write(program)
        done = self._ask("up", "--yes", "--skip-preview")
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def destroy(self) -> None:
        """Take everything away."""
        self.run("destroy", "--yes", "--skip-preview")

    def run(self, *words: str) -> str:
        """Return what the engine prints; fail with all of it."""
        done = self._ask(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *words, "--non-interactive"]
        return subprocess.run(
            command, cwd=self.folder, env=dict(self.variables), capture_output=True, text=True, check=False
        )

    def _write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(program)


def applied(folder: Path, plane: ControlPlane) -> Applied:
    """Return a project below a folder, on a control plane."""
    place = folder / "program"
    place.mkdir()
    (place / ".venv").symlink_to(sys.prefix)
    runtime = {"name": "python", "options": {"virtualenv": ".venv"}}
    (place / "Pulumi.yaml").write_text(json.dumps({"name": "program", "runtime": runtime}))
    tools = [tool(name).parent for name in ("pulumi", "pulumi-resource-kubernetes")]
    variables = {
        "PATH": os.pathsep.join([str(tools[0]), f"{sys.prefix}/bin", os.environ["PATH"]]),
        "HOME": str(folder), "PYTHONPATH": str(ROOT), "KUBECONFIG": str(plane.kubeconfig),
        "PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_CONFIG_PASSPHRASE": "word",
        "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_HOME": str(folder / "home"),
        # As the provider of an environment has it.
        "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE": "true",
    }  # fmt: skip
    made = Applied(place, variables)
    made.run("stack", "init", "one")
    return made
