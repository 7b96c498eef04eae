"""What the real engine records of updates that succeed, fail and are killed is what a history is made of."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from delivery.clients.engine import Engine
from delivery.operations.history import Entry, History, history
from delivery.project import Project
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.rendered import rendered
from tests.support.repository import WHO, Repository, repository
from tests.support.session import FakeSession


class World:
    """A checkout whose prod is a stack of a file backend on the real engine."""

    def __init__(self, project: Checkout, folder: Path) -> None:
        made = rendered(folder, Path(__file__).parent / "program.py")
        project.root.joinpath("__main__.py").write_text((made.root / "__main__.py").read_text())
        project.root.joinpath("Pulumi.yaml").write_text("name: stellwerk\nruntime: python\nstackConfigDir: stacks\n")
        self.project, self.variables = project, made.variables
        self.engine().run("stack", "init", "prod", "--no-select")
        self.git: Repository = repository(project.root)

    def engine(self, **more: str) -> Engine:
        return Engine(self.project.root, {**self.variables, **more})

    def update(self, release: str, **more: str) -> bool:
        self.project.point("prod", release)
        return self.engine(**more).update("prod", self.project.text("prod").decode()).succeeded

    def kill(self, release: str, mark: Path) -> None:
        """Begin an update to a release, and kill it with all its processes once its program runs."""
        self.project.point("prod", release)
        command = ["pulumi", "up", "--stack", "prod", "--yes", "--skip-preview", "--non-interactive"]
        process = subprocess.Popen(
            command, cwd=self.project.root, env={**self.variables, "WAIT": str(mark)},
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 300
            while not mark.exists():
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def history(self) -> History:
        return history(FakeSession(Project(self.project.root), self.engine()), MODEL, "prod")


def said(entry: Entry) -> tuple[str | None, str | None, str | None, str | None]:
    return entry.before, entry.after, entry.result, entry.disagrees


@pytest.mark.tools
def test_a_history_has_what_the_engine_has_recorded(project: Checkout, releases: object, tmp_path: Path) -> None:
    world = World(project, tmp_path)
    assert world.update(FIRST)
    first = world.git.commit("prod: the first release")
    assert not world.update(SECOND, FAIL="yes")
    world.kill(SECOND, tmp_path / "runs")
    after_kill = world.history()
    assert [said(entry)[:3] for entry in after_kill.entries] == [
        (None, FIRST, "succeeded"),
        (FIRST, SECOND, "failed"),
        (FIRST, None, "killed"),
    ]
    # What the command does before its next update: break the lock, read the cluster, say why.
    locks = world.engine().locks("prod")
    assert locks.break_dead()
    assert [said(entry) for entry in world.history().entries] == [said(entry) for entry in after_kill.entries]
    assert world.engine().refresh("prod", (), killed=str(locks.interrupted))
    locks.settle()
    assert world.update(SECOND)
    second = world.git.commit("prod: the second release")
    made = world.history()
    assert [(entry.result, entry.commit, entry.disagrees) for entry in made.entries] == [
        ("succeeded", first, None),
        ("failed", None, "the update failed"),
        ("killed", None, after_kill.entries[2].disagrees),
        ("succeeded", second, None),
    ]
    assert [entry.by for entry in made.entries if entry.result != "killed"] == [WHO] * 3
    # The pointer was committed after the update: checked out was the commit before.
    assert made.entries[3].checked_out == first
    assert [state.disagrees for state in made.now] == [None]
