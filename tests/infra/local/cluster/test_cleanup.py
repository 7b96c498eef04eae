"""Whose processes are ended."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from infra.local.cluster import cleanup
from infra.local.cluster.layout import Layout


@pytest.fixture
def kubelet(tmp_path: Path) -> Path:
    """A program of this name that sleeps."""
    program = tmp_path / "kubelet"
    sleep = shutil.which("sleep")
    assert sleep
    shutil.copy(sleep, program)
    return program


def test_another_cluster_s_kubelet_is_seen_as_long_as_it_lives(place: Layout, kubelet: Path) -> None:
    """One that has just ended keeps its name until somebody waits for it: nobody's pods are its."""
    before = cleanup._running("kubelet")
    process = subprocess.Popen([kubelet, "60"])
    try:
        deadline = time.monotonic() + 10
        while len(cleanup._running("kubelet")) == len(before) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert cleanup._foreign_kubelet(place)
        process.kill()
        while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
            time.sleep(0.01)
        assert len(cleanup._running("kubelet")) == len(before)
    finally:
        process.kill()
        process.wait()
