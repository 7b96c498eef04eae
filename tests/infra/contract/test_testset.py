"""Test sets are read from their place, and refused when they say something else than their place."""

from pathlib import Path

import pytest

from infra.contract import testset
from infra.contract.problems import ConfigError
from infra.values import from_file
from tests.support.documents import write_stacks
from tests.support.models import copy_models

VERSION = "v2-3f2a9c1d"
DIGEST = f"sha256:3f2a9c1d{'0' * 56}"
TEXT = f"""\
apiVersion: stellwerk.dev/v1
kind: TestSet
metadata: {{model: digits, version: {VERSION}, created: '2026-01-31T12:00:00Z'}}
rows: {{digest: {DIGEST}, size: 1000, key: testsets/digits/{DIGEST.replace(":", "-")}.csv}}
"""


@pytest.fixture
def sets(tmp_path: Path) -> testset.TestSets:
    place = tmp_path / "stacks" / "testsets"
    (place / "digits").mkdir(parents=True)
    (place / "digits" / f"{VERSION}.yaml").write_text(TEXT)
    return testset.TestSets(place)


def test_a_test_set_is_found(sets: testset.TestSets) -> None:
    assert sets.versions("digits") == [VERSION]
    assert sets.versions("letters") == []
    assert sets.load("digits", VERSION).rows.size == 1000


def test_an_environment_names_one_that_exists(sets: testset.TestSets, tmp_path: Path) -> None:
    write_stacks(tmp_path)
    copy_models(tmp_path)
    file = tmp_path / "stacks" / "Pulumi.prod.yaml"
    text = file.read_text()
    file.write_text(text.replace("    digits:\n", f"    digits:\n      testSet: {VERSION}\n", 1))
    assert from_file("prod", tmp_path).environment.environment == "prod"
    file.write_text(text.replace("    digits:\n", "    digits:\n      testSet: v2-3f2a9c1e\n", 1))
    with pytest.raises(ConfigError, match=rf"stacks/testsets/digits/: {VERSION}\n.*did you mean {VERSION}\?"):
        from_file("prod", tmp_path)


def test_an_unknown_test_set_names_those_that_exist(sets: testset.TestSets) -> None:
    with pytest.raises(ConfigError, match=f"there is no such test set; those of digits: {VERSION}; did you mean"):
        sets.load("digits", "v2-3f2a9c1e")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("model: digits", "model: letters", ("metadata.model", '"digits"')),
        (f"version: {VERSION}", "version: v1-3f2a9c1d", ("metadata.version", f'"{VERSION}"')),
        (f"digest: {DIGEST}", f"digest: sha256:{'0' * 64}", ("rows.digest", '"3f2a9c1d"')),
        ("key: testsets/", "key: data/", ("rows.key", "testsets/digits/sha256-3f2a9c1d")),
        ("size: 1000", "size: 0", ("rows.size", "at least 1")),
        ("kind: TestSet", "kind: Release", ("kind", "allowed: TestSet")),
    ],
)
def test_what_is_not_of_its_place_is_refused(
    old: str, new: str, expected: tuple[str, ...], sets: testset.TestSets
) -> None:
    assert old in TEXT
    sets.file("digits", VERSION).write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        sets.load("digits", VERSION)
    message = str(raised.value)
    assert message.startswith(f"stacks/testsets/digits/{VERSION}.yaml:")
    assert not [text for text in expected if text not in message], message
