"""How samples are taken, compared and shown."""

import sys
from pathlib import Path

import pytest

from benchmarks import start
from benchmarks.errors import BenchmarkError
from benchmarks.measure import BEFORE, OURS, ROOT, Series, of_checkout, output, timed
from benchmarks.report import table


def test_a_ratio_compares_neighbours() -> None:
    series = Series("preview")
    for ours, before in ((2.0, 1.0), (3.0, 6.0), (4.0, 4.0)):
        series.add(OURS, {"seconds": ours})
        series.add(BEFORE, {"seconds": before})
    assert series.as_json()["ratios"] == {BEFORE: {"seconds": {"median": 1.0, "min": 0.5, "max": 2.0}}}
    assert f"| preview | seconds | 3 (2 to 4) | {BEFORE} | 4 (1 to 6) | **1 (0.5 to 2)** |" in table(
        {"series": [series.as_json()]}
    )


def test_what_has_no_peer_is_shown_by_itself() -> None:
    series = Series("look")
    for seconds in (2.0, 1.0, 9.0):
        series.add(OURS, {"seconds": seconds})
    assert "| look | seconds | 2 (1 to 9) | - | - | - |" in table({"series": [series.as_json()]})


def test_a_command_that_fails_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('no such stack'); sys.exit(3)"]
    with pytest.raises(BenchmarkError, match=r"ended with 3:\nno such stack"):
        timed(command, tmp_path, {})


def test_python_takes_the_packages_of_the_given_checkout(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "__init__.py").write_text("")
    command = [sys.executable, "-c", "import infra; print(infra.__file__)"]
    assert output(command, ROOT.parent, of_checkout(tmp_path, {})).startswith(str(tmp_path))


@pytest.mark.long
def test_the_start_of_a_checkout_is_measured_against_itself() -> None:
    (series,) = start.measure(1, ROOT)
    assert {side: len(samples) for side, samples in series.samples.items()} == {OURS: 1, BEFORE: 1}
    assert series.objects
