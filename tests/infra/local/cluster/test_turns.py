"""One command at a time starts the node or takes it away."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from infra.local.cluster.cleanup import remove_data
from infra.local.cluster.layout import Layout
from infra.local.cluster.turns import alone
from infra.local.toolchain.paths import CHECKOUT

Down = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def down(place: Layout, tmp_path: Path) -> Iterator[Down]:
    """Starts `stellwerk cluster down`; of the node's tools it has one, a containerd's that knows of no pod."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ctr").symlink_to("/bin/true")
    variables = {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "STELLWERK_STATE": str(place.root),
    }
    words = [sys.executable, "-u", "-m", "delivery.cli", "cluster", "down"]
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            words, cwd=CHECKOUT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def not_waited() -> None:
    pytest.fail("somebody else holds it")


@pytest.mark.parametrize("removes", [True, False], ids=["a down", "an up that is interrupted"])
def test_down_waits_for_another_command_that_is_at_work_on_the_node(place: Layout, down: Down, removes: bool) -> None:
    with alone(place.root, not_waited) as exists:
        assert exists
        second = down()
        assert second.stdout
        first_line = second.stdout.readline()
        assert place.run.is_dir(), "the node was taken away under the other command's hands"
        assert "waiting for another" in first_line
        if removes:
            remove_data(place.root)
    rest, _ = second.communicate(timeout=60)
    assert ("Nothing to remove" if removes else "The cluster is removed") in rest
    assert (second.returncode, place.root.exists()) == (0, False)


def test_who_starts_a_node_after_one_that_was_removed_has_a_directory_of_its_own(place: Layout) -> None:
    waits = Event()

    def start() -> bool:
        with alone(place.root, waits.set, make=True) as exists:
            return exists and place.root.stat().st_mode & 0o777 == 0o700

    with ThreadPoolExecutor(1) as pool:
        with alone(place.root, not_waited):
            started = pool.submit(start)
            assert waits.wait(timeout=300)
            remove_data(place.root)
        assert started.result(timeout=300)
    assert list(place.root.iterdir()) == []
