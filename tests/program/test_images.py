"""The list of platform images, held against every pod of the program."""

import pytest

from delivery.operations.images import listed
from delivery.project import Project
from infra.contract.versions import version
from tests.program.conftest import STACKS, Machine, Programs, Refused, Run
from tests.program.harness import DIGEST, stack_values
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


MIRROR = "mirror.example.com/platform"


def mirrored(stack: str, machine: Machine) -> dict[str, object]:
    """What a stack says of its images where all come from a mirror."""
    names = {image.name for image in listed(Project(machine.root), [stack])}
    return {"mirror": MIRROR, "digests": {f"{name}:{version(name)}": DIGEST for name in names}}


@pytest.mark.parametrize("stack", STACKS)
def test_one_value_brings_every_platform_image_from_a_mirror(
    stack: str, run: Run, released: Programs, machine: Machine
) -> None:
    given = stack_values(stack)
    given["images"] = given.get("images", {}) | mirrored(stack, machine)
    given["models"]["digits"].update(release="v2-3f2a9c1d", previous="v1-0a1b2c3d")
    program = run(given, stack)
    registry = given["registry"]["address"]
    named = {
        container["image"] for _, _, pod in pods(stack, {**released, stack: program}) for container in containers(pod)
    }
    assert {image for image in named if not image.startswith(f"{registry}/")} == {
        f"{MIRROR}/{key.partition(':')[0]}@{DIGEST}" for key in given["images"]["digests"]
    }


def test_a_mirror_without_a_digest_is_refused_by_its_name(refused: Refused, machine: Machine) -> None:
    given = stack_values("dev")
    given["images"] |= mirrored("dev", machine)
    del given["images"]["digests"][f"traefik:{version('traefik')}"]
    given["images"]["digests"]["traefik:0.1"] = DIGEST
    said = refused("dev", given)
    assert f"images.digests.traefik:{version('traefik')}" in said and "because pods run it" in said
    assert "images.digests.traefik:0.1" in said and "no platform image of this checkout" in said
