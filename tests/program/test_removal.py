"""A model that is taken out of a stack file takes its own resources along; of the others only what names it changes."""

from collections.abc import Mapping

import pytest

from tests.program.conftest import Run
from tests.program.harness import Recording, stack_values


@pytest.mark.parametrize(
    ("stack", "changed"),
    [("dev", ["gateway-routes", "tracking-ingress"]), ("test", ["gateway-routes"]), ("prod", ["gateway-routes"])],
)
def test_what_stays_is_as_it_was(stack: str, changed: list[str], released: Mapping[str, Recording], run: Run) -> None:
    given = stack_values(stack)
    for key in {"models", "training"} & given.keys():
        given[key].clear()
    before, after = released[stack].inputs, run(given, stack).inputs
    gone = {name.rpartition("::")[2] for name in set(before) - set(after)}
    assert "digits" in gone
    assert ("train-digits" in gone) == (stack == "dev")
    assert set(after) <= set(before)
    assert sorted(name.rpartition("::")[2] for name in after if after[name] != before[name]) == changed
