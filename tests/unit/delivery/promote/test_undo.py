"""A move that fails leaves the environment as it was; one that takes its time is waited for."""

import pytest

from delivery.errors import DeliveryError
from tests.unit.delivery.conftest import FIRST, SECOND, Clock, Engine, Project, Words
from tests.unit.delivery.promote.conftest import move


@pytest.mark.parametrize(
    ("undone", "state"),
    [(True, "the state before is applied again"), (False, "could not be applied: run `pulumi up --stack prod`")],
)
def test_a_failed_update_is_undone(undone: bool, state: str, project: Project, pulumi: Engine, words: Words) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    before = project.text("prod")
    pulumi.results["up"] = [False, undone]
    with pytest.raises(DeliveryError, match=rf"prod: {SECOND}: the update failed, see above; .*{state}"):
        move(words, "prod")
    assert project.text("prod") == before
    command, text = pulumi.shown[-1]
    assert (command, text) == ("up", before), "the state before was not applied"
    assert pulumi.changes == ["up", "up"]


def test_an_endpoint_that_never_answers_is_undone(project: Project, pulumi: Engine, words: Words, clock: Clock) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    before = project.text("prod")
    pulumi.answers = lambda _: None
    with pytest.raises(DeliveryError, match=rf"prod: {SECOND}: does not answer with it; the state before is applied"):
        move(words, "prod")
    assert project.text("prod") == before
    assert pulumi.shown[-1] == ("up", before)
    assert pulumi.changes == ["up", "up"]
    assert 180 < clock.now < 200
    assert "putting the pointer back" in words


def test_answers_of_the_release_before_in_between_do_not_count(project: Project, pulumi: Engine, words: Words) -> None:
    """Pods of both releases answer in turn: that is not done yet."""
    project.point("test", SECOND)
    project.point("prod", FIRST)
    answers = iter(range(1 << 30))
    pulumi.answers = lambda _: FIRST if next(answers) % 9 == 8 else SECOND
    with pytest.raises(DeliveryError, match="does not answer with it"):
        move(words, "prod")
    assert project.pointers("prod") == (FIRST, None)


def test_an_endpoint_that_takes_its_time_is_waited_for(
    project: Project, pulumi: Engine, words: Words, clock: Clock
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    pulumi.answers = lambda _: SECOND if clock.now > 100 else FIRST
    move(words, "prod")
    assert project.pointers("prod") == (SECOND, FIRST)
    assert pulumi.changes == ["up"]


def test_a_pointer_that_was_there_and_still_does_not_answer_stays(
    project: Project, pulumi: Engine, words: Words
) -> None:
    project.point("test", SECOND)
    project.point("prod", SECOND, FIRST)
    before = project.text("prod")
    pulumi.answers = lambda _: None
    with pytest.raises(DeliveryError, match="does not answer with it; the pointer was there before and stays"):
        move(words, "prod")
    assert project.text("prod") == before
    assert pulumi.changes == ["up"]


def test_the_file_as_people_left_it_is_put_back(project: Project, pulumi: Engine, words: Words) -> None:
    """Byte for byte, with what a YAML writer would tidy up."""
    project.point("test", SECOND)
    text = project.file("prod").read_text().replace("canary: null", "canary:   ~   # later") + "# the end\n\n"
    project.file("prod").write_text(text)
    pulumi.results["up"] = [False]
    with pytest.raises(DeliveryError):
        move(words, "prod")
    assert project.text("prod") == text.encode()
