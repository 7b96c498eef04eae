"""A project of the real engine whose Kubernetes objects are written as files: it needs no cluster."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.local.toolchain.paths import bin_folder
from infra.values import ROOT
from tests.support.tools import tool


@dataclass(frozen=True)
class Rendered:
    """Where the project is, and the variables of its engine."""

    root: Path
    variables: dict[str, str]


def rendered(folder: Path, program: Path) -> Rendered:
    """Make a project of this program, with a file backend; skip the test where the engine is not built yet."""
    tool("pulumi"), tool("pulumi-resource-kubernetes")
    root, objects = folder / "project", folder / "rendered"
    for made in (root, objects, folder / "backend", folder / "home"):
        made.mkdir()
    shutil.copy(program, root / "__main__.py")
    (root / "Pulumi.yaml").write_text("name: stellwerk\nruntime: python\n")
    variables = {
        **os.environ,
        "PATH": f"{bin_folder()}:{ROOT}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PULUMI_BACKEND_URL": f"file://{folder}/backend",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "tests",
        "STELLWERK_WORK": str(folder / "work"),
        "RENDERED": str(objects),
    }
    return Rendered(root, variables)
