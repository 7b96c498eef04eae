"""Two people promote, roll back, run plain `pulumi up` and think better of it, in 200 orders of their steps."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.interleavings import World
from tests.support.turns import Turns

SEEDS = 200


@pytest.fixture
def world(tmp_path: Path) -> Callable[[int, int], World]:
    """Makes the world of a seed, with one or two checkouts."""

    def make(seed: int, checkouts: int) -> World:
        folder = tmp_path / f"{seed}-{checkouts}"
        folder.mkdir()
        return World(Turns(seed), folder, {"anna": "one", "ben": "one" if checkouts == 1 else "two"})

    return make


@pytest.mark.parametrize("checkouts", [1, 2])
def test_no_update_is_lost_and_no_undo_is_wrong(checkouts: int, world: Callable[[int, int], World]) -> None:
    outcomes = {"done": 0, "refused": 0}
    for seed in range(SEEDS // checkouts):
        made = world(seed, checkouts)
        made.turns.run({"anna": made.act, "ben": made.act})
        story = f"seed {seed}, {checkouts} checkouts:\n" + "\n".join(made.log)
        assert made.turns.errors == [], story
        for checkout, expected in made.expected.items():
            assert json.loads(made.file(checkout).read_text()) == expected, story
        if checkouts == 1:
            # Whoever applied last: what is applied is what the file says.
            assert made.state == {model: pointer[0] for model, pointer in expected.items()}, story
        for line in made.log:
            outcomes["done"] += ": done" in line
            outcomes["refused"] += ": refused" in line
    assert outcomes["done"] > SEEDS / 2, "hardly anything succeeded: the orders prove nothing"
    assert outcomes["refused"] > SEEDS / 2
