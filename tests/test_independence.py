"""The framework's tests hold in any checkout: in one without models and environments, and beside another team's."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.documents import TEAM
from tests.support.project import copy_checkout

# On an idle machine some seconds each; `make test` leaves them what the cluster does not need.
pytestmark = pytest.mark.timeout(1800)
# The other team's words for those of the tests' own one; its node ports are others, too.
_WORDS = {r"\bdev\b": "lab-eu", r"\btest\b": "serving", r"\bprod\b": "live", "digits": "prices", "30([49])": r"31\1"}
_PYTEST = (
    sys.executable,
    "-m",
    "pytest",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    f"--ignore=tests/{Path(__file__).name}",
    "--timeout=600",
)
# What looks at the checkout itself: rules of the house, its documents, its node, its models.
_CHOSEN = (
    "tests/house",
    "tests/models",
    "tests/infra/contract/test_schemas.py",
    "tests/infra/contract/test_model.py",
    "tests/infra/test_needs.py",
)


@pytest.fixture(params=["nobody's", "another team's"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of this one, with none of the team's files, or with those of another team."""
    root = tmp_path / "checkout"
    root.mkdir()
    copy_checkout(root)
    for folder in ("models", "stacks"):
        shutil.rmtree(root / folder)
    if request.param == "another team's":
        shutil.copytree(TEAM / "later", root / "models")
        (root / "stacks").mkdir()
        for file in (TEAM / "stacks").iterdir():
            (root / "stacks" / _theirs(file.name)).write_text(_theirs(file.read_text()))
    (root / ".venv").symlink_to(sys.prefix)
    return root


def _theirs(text: str) -> str:
    for word, other in _WORDS.items():
        text = re.sub(word, other, text)
    return text


def passes(checkout: Path, arguments: Sequence[str]) -> None:
    """Fail unless tests of the checkout pass, where there are any."""
    path = os.pathsep.join([f"{checkout}/.venv/bin", os.environ["PATH"]])
    # Nothing of the run around it.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    variables = {**kept, "PYTHONPATH": str(checkout), "PATH": path}
    done = subprocess.run(
        [*_PYTEST, *arguments], cwd=checkout, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-2000:]}"


def test_what_looks_at_the_checkout_holds_in_any(checkout: Path) -> None:
    passes(checkout, _CHOSEN)


@pytest.mark.parametrize("checkout", ["nobody's"], indirect=True)
def test_every_test_is_found_in_a_checkout_without_anything_of_a_team(checkout: Path) -> None:
    # No test runs: what its assertions would say of their values need not be compiled.
    passes(checkout, ["--collect-only", "-qq", "--assert=plain"])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_test_that_needs_nothing_holds_in_any_checkout(checkout: Path) -> None:
    passes(checkout, ["-m", "not integration and not tools and not long"])
