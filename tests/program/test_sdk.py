"""The SDK's own classes register the same stacks: nothing of them is spelled otherwise, or of another type."""

import runpy
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import typed
from tests.components.mocks import declared
from tests.program.conftest import STACKS
from tests.program.harness import Recording


@pytest.mark.parametrize("stack", STACKS)
def test_the_sdk_registers_the_same_stack(stack: str, released: Mapping[str, Recording], tmp_path: Path) -> None:
    """A program that is written with the SDK's types from what ours registers: a field they do not know is lost."""
    ours = {
        key: inputs
        for key, inputs in released[stack].inputs.items()
        if key.startswith(("kubernetes:", "pulumi:")) and ":yaml/" not in key
    }
    program = tmp_path / "program.py"
    program.write_text(typed.program(ours))
    assert declared(lambda: runpy.run_path(str(program)) and None).inputs == ours
