"""The list of platform images, held against every pod of the program."""

import pytest

from delivery.operations.images import listed
from delivery.project import Project
from tests.program.conftest import STACKS, Machine, Programs
from tests.program.harness import stack_values
from tests.program.pod_security import containers
from tests.program.test_stacks import pods


@pytest.mark.parametrize("stack", STACKS)
def test_the_program_runs_no_other_platform_image(stack: str, released: Programs, machine: Machine) -> None:
    known = {image.reference for image in listed(Project(machine.root), [stack])}
    registry = stack_values(stack)["registry"]["address"]
    named = {container["image"] for _, _, pod in pods(stack, released) for container in containers(pod)}
    built = {image for image in named if image.startswith(f"{registry}/")}
    assert named - built == known, "the list lacks an image, or has one too many"
    assert all("@sha256:" in image for image in built)
