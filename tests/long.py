"""Runs the long tests, as `make test-long` does, and keeps the table of their last runs in docs/long-tests.md.

`python -m tests.long [arguments of pytest]`: of a part of the tests, their rows alone are written anew. Without
arguments all run: those that need the cluster here, the others beside them.
"""

import ast
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.__main__ import Beside

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "long-tests.md"
_ROW = re.compile(r"^\| `(?P<file>tests/[^`]+)` \|")
_HEAD = """\
# Long tests

What ran of `make test-long`, file by file, when it ran last, together or in parts. Time is that of its tests with what
they set up first: a cluster of the tests' own, which several files share, counts where it came up. What needs the
cluster runs beside what does not. Times of a shared machine with two cores.

| tests | what they show | outcome | min | run |
|---|---|---|---|---|
"""


@dataclass(eq=False)
class Recorder:
    """Outcomes and seconds by file, as pytest reports them."""

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: Counter[str] = field(default_factory=Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what a test, its setup or its teardown came to."""
        file = report.nodeid.partition("::")[0]
        self.seconds[file] += report.duration  # type: ignore[assignment]
        # A failed setup or teardown counts, a passed one is none of the tests.
        if report.when == "call" or not report.passed:
            self.outcomes[file][report.outcome] += 1


_CLUSTER, _OTHERS = ("-m", "long and integration"), ("-m", "long and not integration")


def main(arguments: list[str]) -> int:
    beside = None
    if not arguments:
        beside = Beside("without the cluster", [sys.executable, "-m", "tests.long", *_OTHERS])
    recorder = Recorder()
    code = int(pytest.main(["-m", "long", *(arguments or _CLUSTER)], plugins=[recorder]))
    # Before the page is written: both halves write it.
    other = beside.join() if beside else 0
    _keep(recorder)
    return code or other


def _keep(recorder: Recorder) -> None:
    """Write the rows of what ran."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    run = f"{time.strftime('%Y-%m-%d')}, {commit}" if commit else time.strftime("%Y-%m-%d")
    made = {file: row(file, outcome, recorder.seconds[file], run) for file, outcome in recorder.outcomes.items()}
    if made:
        PAGE.write_text(page(PAGE.read_text() if PAGE.exists() else "", made))


def page(before: str, rows: Mapping[str, str]) -> str:
    """Return the page with new rows by file; those of files that are gone are left out."""
    known = {match["file"]: line for line in before.splitlines() if (match := _ROW.match(line))}
    lines = [line for file, line in sorted((known | rows).items()) if (ROOT / file).exists()]
    return _HEAD + "\n".join(lines) + "\n"


def row(file: str, outcomes: Counter[str], seconds: float, run: str) -> str:
    """Return a line of the table."""
    counted = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    return f"| `{file}` | {_shows(ROOT / file)} | {counted} | {seconds / 60:.1f} | {run} |"


def _shows(file: Path) -> str:
    """Return the first sentence of a module's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
