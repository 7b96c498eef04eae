"""The engine knows a stack file alone: the program itself puts it on top of what environments share."""

import shutil
from collections.abc import Iterator

import pulumi
import pytest

from infra.contract.stacks import BASE, StackFiles
from tests.program.conftest import STACKS, Machine, Programs
from tests.program.harness import stack_values
from tests.support.documents import TEAM


@pytest.fixture
def based(machine: Machine) -> Iterator[Machine]:
    """The machine, whose checkout has the base as long as the test lasts."""
    shutil.copy(TEAM / BASE, machine.root / BASE)
    yield machine
    (machine.root / BASE).unlink()


@pytest.mark.parametrize("stack", STACKS)
def test_what_differs_makes_the_same_program_as_the_whole(stack: str, based: Machine, programs: Programs) -> None:
    whole = stack_values(stack)
    own = StackFiles(TEAM).own(stack)
    given = {key: whole[key] for key in (*own, "credentials", "caCertificate")}
    for key, value in own.items():
        given[key] = whole[key] if key == "models" else value
    assert "quota" not in given or given["quota"] != whole["quota"], "nothing is shared: nothing was proved"
    assert based.run(given, stack).tree() == programs[stack].tree()


@pytest.mark.parametrize("null", ["", None])
def test_null_is_null_however_the_engine_gives_it(null: str | None, based: Machine) -> None:
    given = {**stack_values("prod"), "releasesFrom": null, "caCertificate": null}
    with pytest.raises(pulumi.RunError, match="stellwerk:caCertificate: absent"):
        based.run(given, "prod")


def test_the_files_of_test_and_prod_differ_in_names_ports_and_developers() -> None:
    test, prod = stack_values("test"), stack_values("prod")
    different = {key for key in test | prod if key != "credentials" and test.get(key) != prod.get(key)}
    assert different == {"environment", "releasesFrom", "objectStore", "gateway", "roles"}
    test["objectStore"]["nodePort"] = prod["objectStore"]["nodePort"]
    test["roles"]["developers"] = prod["roles"]["developers"]
    assert test["objectStore"] == prod["objectStore"]
    assert test["roles"] == prod["roles"]
