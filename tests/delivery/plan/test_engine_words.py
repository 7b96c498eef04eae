"""Twenty kinds of change on the real engine: the words of a plan are what the engine then does."""

import json
from pathlib import Path

import pytest

from delivery.clients.engine import Engine
from delivery.clients.plan import parse
from delivery.operations.changes import Action, changes
from tests.delivery.plan.recorded import EVENTS, RELEASES
from tests.support.rendered import rendered

TEXT = 'config: {}\nencryptionsalt: ""\n'
# What the engine calls the changes that a plan has several words for.
OPERATIONS = {Action.RESTART: "update", Action.SCALE: "update"}


class World:
    """A stack of a file backend on the real engine, whose program is that of twenty changes."""

    def __init__(self, folder: Path) -> None:
        made = rendered(folder, Path(__file__).parent / "program.py")
        self.root, self.variables = made.root, {**made.variables, "RELEASES": json.dumps(RELEASES)}

    def edition(self, number: int) -> Engine:
        return Engine(self.root, {**self.variables, "EDITION": str(number)})

    def events(self, *arguments: str) -> str:
        """Run an engine command of the second edition, and return its events."""
        log = self.root.parent / f"{arguments[0]}.json"
        self.edition(2).run(*arguments, "--stack", "prod", "--event-log", str(log))
        return log.read_text()


@pytest.mark.tools
def test_a_plan_says_what_the_engine_then_does(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.edition(1).run("stack", "init", "prod", "--no-select")
    assert world.edition(1).update("prod", TEXT).succeeded
    planned = changes(world.edition(2).preview("prod", TEXT, shown=False))
    assert len(planned) >= 20
    assert planned == changes(parse(EVENTS.read_text())), "the recorded events are not today's: record them again"
    applied = parse(world.events("up", "--yes", "--skip-preview"))
    done = {each.kind + each.name: OPERATIONS.get(each.action, each.action.value) for each in changes(applied)}
    assert done == {each.kind + each.name: OPERATIONS.get(each.action, each.action.value) for each in planned}
    kinds = {step.op for step in applied.changes}
    assert {"create", "update", "replace", "delete"} <= kinds
    assert changes(world.edition(2).preview("prod", TEXT, shown=False)) == []
