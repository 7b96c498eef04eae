"""`make test` fails when any of its two halves fails, and shows what both print."""

import sys

import pytest

from tests.__main__ import run_side_by_side


def command(text: str, code: int) -> list[str]:
    return [sys.executable, "-c", f"print({text!r}); raise SystemExit({code})"]


@pytest.mark.parametrize(("first", "second", "expected"), [(0, 0, 0), (1, 0, 1), (0, 2, 2), (1, 2, 1)])
def test_either_half_fails_the_whole(first: int, second: int, expected: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_side_by_side(command("cluster", first), command("units", second)) == expected
    printed = capfd.readouterr().out
    assert "cluster\n" in printed
    assert "without the cluster:\nunits\n" in printed
