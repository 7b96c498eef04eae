"""Two updates of one stack at once: one waits or refuses, and nothing is lost."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.world import World
from tests.support.project import Project, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.lane("own"), pytest.mark.timeout(3600)]
FIRST, SECOND = ("up", 1, 0), ("up", 2, 0)


@pytest.fixture
def world(project: Project, tmp_path: Path) -> Iterator[World]:
    made = World(f"faults-{uuid4().hex[:6]}", tmp_path / "world", {**project.shell, **project.variables}).make()
    assert made.run(("up", 0, 0)) == 0, made.output()
    yield made
    made.forget()


def test_a_command_waits_for_an_update_that_runs(world: World) -> None:
    running = world.begin(FIRST)
    while not world.engine.locks(world.name).held():
        assert running.poll() is None, world.output()
        time.sleep(0.01)
    assert world.run(SECOND) == 0, world.output()
    assert running.wait() == 0, "it was disturbed"
    assert f"waiting for another update of {world.name}" in (world.folder / "console").read_text()
    assert world.has_no_changes(), world.output()


def test_many_who_find_a_killed_update_write_one_after_the_other(world: World) -> None:
    """Each would break the dead lock, and none breaks that of the one which was first."""
    killed = world.begin(FIRST)
    while not world.engine.locks(world.name).held():
        assert killed.poll() is None, world.output()
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    codes = in_parallel(*[lambda: world.run(SECOND)] * 3)
    assert codes == [0, 0, 0], world.output()
    assert world.has_no_changes(), world.output()
    world.seen()
