"""`make test` fails when any of its parts fails, shows what all print, and stops after a turn that was interrupted."""

import sys
from pathlib import Path

import pytest

from tests.__main__ import FOLDERS, run_side_by_side, take_turns


def command(text: str, code: int) -> list[str]:
    return [sys.executable, "-c", f"print({text!r}); raise SystemExit({code})"]


@pytest.mark.parametrize(("first", "second", "expected"), [(0, 0, 0), (1, 0, 1), (0, 2, 2), (1, 2, 2)])
def test_either_half_fails_the_whole(first: int, second: int, expected: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_side_by_side(command("cluster", first), {"other lane": command("prod", second)}) == expected
    printed = capfd.readouterr().out
    assert "cluster\n" in printed
    assert "other lane:\nprod\n" in printed


@pytest.mark.parametrize(
    ("codes", "demo", "ran", "expected"),
    [((0, 0), True, "ab", 0), ((1, 0), True, "ab", 1), ((2, 0), True, "a", 2), ((-9, 0), True, "a", -9),
     ((1, 0), False, "a", 1)],
)  # fmt: skip
def test_turns_go_on_after_a_failed_test_alone(
    codes: tuple[int, int], demo: bool, ran: str, expected: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither after an interruption, nor where there is nothing to test."""
    if demo:
        (tmp_path / "demo.log").touch()
    given = dict(zip("ab", codes, strict=True))
    assert take_turns((("a",), ("b",)), tmp_path, lambda name: killed_or_ends(name, given[name])) == expected
    assert capfd.readouterr().out.split() == list(ran)


def killed_or_ends(text: str, code: int) -> list[str]:
    ending = f"os.kill(os.getpid(), {-code})" if code < 0 else f"raise SystemExit({code})"
    return [sys.executable, "-c", f"import os; print({text!r}, flush=True); {ending}"]


def test_the_lanes_find_every_integration_test() -> None:
    tests = Path(__file__).parent
    marked = {file for file in tests.rglob("test_*.py") if "mark." + "integration" in file.read_text()}
    assert marked == {file for file in marked if str(file.parent.relative_to(tests.parent)) in FOLDERS}
    assert len(marked) > 10
