"""Containers beside the cluster's: of an image that the node has, with folders of this machine."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.local.cluster.layout import Layout
from tests.support.project import Project


def run_in_image(
    project: Project, reference: str, name: str, mounts: Mapping[Path, str], *command: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a container of its own, in the first of the folders, which nothing can write to."""
    folders = [f"--mount=type=bind,src={source},dst={target},options=rbind:ro" for source, target in mounts.items()]
    where = ["--rm", "--user=0", "--cwd", next(iter(mounts.values()))]
    return project.run(
        "nice", str(project.root / ".toolchain/bin/ctr"), "--address", str(Layout(project.state).containerd_socket),
        "--namespace=k8s.io", "run", *where, *folders, reference, name, *command,
    )  # fmt: skip
