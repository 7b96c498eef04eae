"""Releases with and without examples, and the commits that they may name."""

import re
import shutil
from pathlib import Path

import pytest

from infra.contract.problems import ConfigError
from infra.contract.release import Releases
from tests.support.examples import name_examples

RELEASE = "v2-3f2a9c1d"
HEX = "0123456789ab"


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    shutil.copytree(Path(__file__).parent / "releases", tmp_path / "releases")
    return Releases(tmp_path / "releases")


def test_a_release_from_before_examples_stays_readable(releases: Releases) -> None:
    assert releases.load("digits", RELEASE).examples is None


def test_examples_belong_to_the_release(releases: Releases) -> None:
    file = releases.file("digits", RELEASE)
    key, content = name_examples(file, "digits")
    examples = releases.load("digits", RELEASE).examples
    assert examples is not None
    assert (examples.key, examples.size, examples.rows) == (key, len(content), 360)
    file.write_text(file.read_text().replace(key, "digits/other.json"))
    with pytest.raises(ConfigError, match=r"examples\.key\n  given:   \"digits/other\.json\""):
        releases.load("digits", RELEASE)


@pytest.mark.parametrize(
    ("commit", "allowed"),
    [
        (HEX, True),
        (HEX[:7], True),
        (f"{HEX}+{HEX}", True),
        ("unknown", True),
        ("uncommitted", True),
        (f"{HEX}+{HEX}0", False),
        (f"{HEX}+dirty", False),
        ("main", False),
    ],
)
def test_the_commit_of_a_release(commit: str, allowed: bool, releases: Releases) -> None:
    file = releases.file("digits", RELEASE)
    file.write_text(re.sub(r"commit: \S+", f"commit: '{commit}'", file.read_text()))
    if allowed:
        assert releases.load("digits", RELEASE).training.commit == commit
    else:
        with pytest.raises(ConfigError, match=r"training\.commit"):
            releases.load("digits", RELEASE)
