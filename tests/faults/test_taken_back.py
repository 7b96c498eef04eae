"""An update is killed, and what it was to do is taken back: nothing of it stays, or it is named and removed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.clients.owned import Owned, delete, owned, unknown
from tests.faults.world import PROJECT, World
from tests.support.project import Project

pytestmark = [pytest.mark.integration, pytest.mark.lane("own"), pytest.mark.timeout(3600)]
BEFORE, UPDATE = ("up", 0, 0), ("up", 1, 0)
# What the update makes, and the stack before it does not declare.
MADE = "edition-2"


@pytest.fixture
def world(project: Project, tmp_path: Path) -> Iterator[World]:
    made = World("faults-taken-back", tmp_path / "world", {**project.shell, **project.variables}).make()
    yield made
    made.forget()


def test_what_was_killed_and_taken_back_leaves_orphans_and_nothing_else(world: World) -> None:
    assert world.run(BEFORE) == 0, world.output()
    expected = world.seen()
    process = world.begin(UPDATE, slower=True)
    while not all(f"{purpose}-{MADE} created" in world.output() for purpose in ("platform", "serving")):
        assert process.poll() is None, world.output()
        time.sleep(0.01)
    process.kill()
    process.wait()
    # The state says what the stack file says again: without more an update would find nothing to do.
    assert world.run(BEFORE) == 0, world.output()
    namespaces = ("WORLD-platform", "WORLD-serving")
    assert world.seen().differences(expected) == [f"ConfigMap {name}/{MADE}: too much" for name in namespaces]
    left = orphans(world)
    assert [(item.kind, item.name) for item in left] == [("ConfigMap", MADE)] * 2
    delete(world.kubectl, left)
    assert orphans(world) == []
    assert world.seen().differences(expected) == []
    assert world.has_no_changes(), world.output()


def orphans(world: World) -> list[Owned]:
    text = (world.folder / f"Pulumi.{world.name}.yaml").read_text()
    return unknown(owned(world.kubectl, PROJECT, world.name), world.engine.preview(world.name, text, shown=False))
