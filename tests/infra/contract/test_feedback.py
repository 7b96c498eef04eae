"""Feedback is read from its place, and refused by line when it is not right."""

from pathlib import Path

import pytest

from infra.contract.feedback import FeedbackFolder
from infra.contract.problems import ConfigError
from infra.contract.release import Releases

FIRST, SECOND = "v1-0a1b2c3d", "v2-3f2a9c1d"
IDENTITY = "20260131-3f2a9c1d"
TEXT = f"""\
apiVersion: stellwerk.dev/v1
kind: Feedback
metadata: {{model: digits, id: {IDENTITY}, created: '2026-01-31T12:00:00Z', by: Somebody}}
about: {{kind: error, title: Sevens are ones, release: {FIRST}}}
issue: https://forge.test/team/models/issues/7
answeredBy: {SECOND}
"""


@pytest.fixture
def folder(tmp_path: Path) -> FeedbackFolder:
    (tmp_path / "digits").mkdir()
    return FeedbackFolder(tmp_path, Releases(Path(__file__).parent / "releases"))


def write(folder: FeedbackFolder, text: str) -> None:
    folder.file("digits", IDENTITY).write_text(text)


def test_feedback_is_open_from_its_release_to_the_one_that_answers_it(folder: FeedbackFolder) -> None:
    write(folder, TEXT)
    (answered,) = folder.of("digits")
    assert [answered.is_open_in(release) for release in (FIRST, SECOND, "v3-00000000")] == [True, False, False]
    write(folder, TEXT.replace(f"answeredBy: {SECOND}\n", "").replace(f"release: {FIRST}", f"release: {SECOND}"))
    (opened,) = folder.of("digits")
    assert [opened.is_open_in(release) for release in (FIRST, SECOND, "v3-00000000")] == [False, True, True]
    assert (folder.models(), folder.of("wages")) == (["digits"], [])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("model: digits", "model: wages", (":3: metadata.model", '"digits"')),
        (f"id: {IDENTITY}", "id: 20260131-00000000", (":3: metadata.id", f'"{IDENTITY}"')),
        ("kind: error", "kind: eror", (":4: about.kind", "did you mean error?")),
        ("title: Sevens are ones", "title: ''", (":4: about.title", "one line")),
        (f"release: {FIRST}", "release: v1-00000000", (":4: about.release", f"{FIRST}, {SECOND}")),
        (f"answeredBy: {SECOND}", f"answeredBy: {FIRST}", (":6: answeredBy", f"a later release than {FIRST}")),
        (f"answeredBy: {SECOND}", "answeredBy: v9-12345678", (":6: answeredBy", "a release of digits")),
        ("https://", "", (":5: issue", "the address of its issue")),
        ("kind: Feedback", "kind: Evidence", (":2: kind", "allowed: Feedback")),
        ("by: Somebody", "from: Somebody", ("the unknown key from", "metadata.by")),
    ],
)
def test_what_is_wrong_is_named_by_line(old: str, new: str, expected: tuple[str, ...], folder: FeedbackFolder) -> None:
    assert old in TEXT
    write(folder, TEXT.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        folder.of("digits")
    message = str(raised.value)
    assert message.startswith(f"stacks/feedback/digits/{IDENTITY}.yaml:")
    assert not [text for text in expected if text not in message], message


def test_absent_feedback_names_what_there_is(folder: FeedbackFolder) -> None:
    write(folder, TEXT)
    with pytest.raises(ConfigError, match=f"there is no such feedback; on digits: {IDENTITY}"):
        folder.load("digits", "20260101-3f2a9c1d")
