"""A state directory, and tools that are only there."""

from pathlib import Path

import pytest

from infra.local.cluster.commands import Tools
from infra.local.cluster.layout import Layout

NAMES = (
    "etcd", "containerd", "kube-apiserver", "buildkitd", "kube-controller-manager", "kube-scheduler", "kubelet",
    "kube-proxy", "coredns", "kwok", "local-path-provisioner", "runc", "ip", "nft", "kubectl", "karpenter",
)  # fmt: skip


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NAMES:
        (folder / name).touch(mode=0o755)
    return Tools(folder, tmp_path / "cni")


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "state")
    layout.make()
    return layout
