"""Whose processes are ended, and what is removed."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from infra.local.cluster import cleanup
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout


@pytest.fixture
def kubelet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that sleeps, and stands for a kubelet under a name of its own: a real cluster may run beside it."""
    program = tmp_path / f"kubelet-{os.getpid()}"
    running = cleanup._running
    monkeypatch.setattr(cleanup, "_running", lambda name: running(program.name if name == "kubelet" else name))
    sleep = shutil.which("sleep")
    assert sleep
    shutil.copy(sleep, program)
    return program


def test_another_cluster_s_kubelet_is_seen_as_long_as_it_lives(place: Layout, kubelet: Path) -> None:
    """One that has just ended keeps its name until somebody waits for it: nobody's pods are its."""
    assert not cleanup._foreign_kubelet(place)
    process = subprocess.Popen([kubelet, "600"])
    try:
        deadline = time.monotonic() + 300
        while not cleanup._running("kubelet") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert cleanup._foreign_kubelet(place)
        process.kill()
        while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
            time.sleep(0.01)
        assert not cleanup._foreign_kubelet(place)
    finally:
        process.kill()
        process.wait()


def test_links_to_logs_below_the_state_directory_go(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place.root.parent / "containers"
    folder.mkdir()
    monkeypatch.setattr(cleanup, "_LOG_LINKS", folder)
    monkeypatch.setattr(cleanup, "_running", lambda _: [])
    # What it points at is gone already.
    (folder / "ours.log").symlink_to(place.pod_logs / "pod" / "0.log")
    (folder / "theirs.log").symlink_to("/var/log/pods/pod/0.log")
    cleanup.remove_log_links(place)
    assert [link.name for link in folder.iterdir()] == ["theirs.log"]
    (folder / "theirs.log").unlink()
    cleanup.remove_log_links(place)
    assert not folder.exists()
    cleanup.remove_log_links(place)


class Busy:
    """Removes a folder while another command writes into it, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, folder: Path) -> None:
        for child in folder.iterdir():
            shutil.rmtree(child)
        self.times -= 1
        if self.times >= 0:
            (folder / "state").mkdir()
        folder.rmdir()


def test_a_command_beside_it_may_end_while_data_are_removed(tmp_path: Path) -> None:
    (tmp_path / "root" / "state").mkdir(parents=True)
    waited: list[None] = []
    cleanup.remove_data(tmp_path / "root", Busy(3), lambda: waited.append(None))
    assert (list(tmp_path.iterdir()), len(waited)) == ([], 3)


def test_a_command_that_does_not_end_is_named_as_the_reason(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(ClusterError, match=r"root: it cannot be removed, .* end that command, and run `stellwerk clus"):
        cleanup.remove_data(tmp_path / "root", Busy(1000), lambda: None)


def test_data_that_may_not_be_removed_are_no_other_command_s(tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    with pytest.raises(NotADirectoryError):
        cleanup.remove_data(tmp_path / "root", wait=lambda: None)
