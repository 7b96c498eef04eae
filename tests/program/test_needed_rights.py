"""The rights that `doctor --target` asks a cluster for, held against what the program declares."""

import pytest

from delivery.operations.target_rights import needed
from delivery.project import Project
from tests.program.conftest import STACKS, Machine, Programs


@pytest.mark.parametrize("stack", STACKS)
def test_every_kind_that_the_program_declares_is_asked_for(stack: str, machine: Machine, released: Programs) -> None:
    declared = {key.rpartition("::")[0] for key in released[stack].inputs if key.startswith("kubernetes:")}
    asked = {right.resource for right in needed(Project(machine.root).environment(stack))}
    # Of files: definitions and a role, which stand in the table by themselves.
    kinds = {each.rpartition(":")[2].removesuffix("Patch").lower() for each in declared} - {"configgroup"}
    assert {kind for kind in kinds if not {f"{kind}s", f"{kind.removesuffix('y')}ies"} & asked} == set()
