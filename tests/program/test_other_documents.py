"""A preview of another revision: the program reads its stack files and releases, and nothing of the checkout's."""

import shutil
from pathlib import Path

from tests.program.conftest import FIXTURES, Refused, Run
from tests.program.harness import stack_values
from tests.support.documents import write_stacks

RELEASE = "v2-3f2a9c1d"


def test_releases_are_those_of_the_given_folder(run: Run, refused: Refused, tmp_path: Path) -> None:
    values = stack_values("test")
    values["models"]["digits"].update(release=RELEASE)
    write_stacks(tmp_path)
    shutil.copytree(FIXTURES, tmp_path / "stacks" / "releases")
    assert run(values, "test", STELLWERK_STACKS=str(tmp_path)).outputs["models"] == {"digits": RELEASE}
    shutil.rmtree(tmp_path / "stacks" / "releases" / "digits")
    assert "there is no such release" in refused("test", values, STELLWERK_STACKS=str(tmp_path))


def test_a_variable_that_is_left_over_stops_the_program(refused: Refused, tmp_path: Path) -> None:
    message = refused("test", stack_values("test"), STELLWERK_STACKS=str(tmp_path / "gone"))
    assert message == (
        f"STELLWERK_STACKS: there is no folder {tmp_path}/gone/stacks; it is set by `stellwerk plan --from-git` alone, "
        "for one preview; run: unset STELLWERK_STACKS"
    )
