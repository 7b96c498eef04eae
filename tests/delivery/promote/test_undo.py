"""A move that fails leaves the environment as it was; one that takes its time is waited for."""

from collections.abc import Callable

import pytest

from delivery.clients import engine
from delivery.errors import DeliveryError
from delivery.operations import pods, promote
from tests.delivery.conftest import COMPONENT, FIRST, MODEL, SECOND, SERVICE, Clock, Engine, Project, Words, plan
from tests.delivery.promote.conftest import move


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
    text = project.file("prod").read_text().replace("replicas: 1", "replicas:   1   # later") + "# the end\n\n"
    project.file("prod").write_text(text)
    pulumi.results["up"] = [False]
    with pytest.raises(DeliveryError):
        move(words, "prod")
    assert project.text("prod") == text.encode()


def test_what_a_failed_update_has_touched_is_looked_at_before_the_undo(
    project: Project, pulumi: Engine, words: Words
) -> None:
    """An interrupted step may have changed the object, and the engine's state does not know it."""
    project.point("test", SECOND)
    project.point("prod", FIRST)
    pulumi.results["up"] = [False]
    with pytest.raises(DeliveryError):
        move(words, "prod")
    assert pulumi.refreshed == [("prod", f"urn:pulumi:x::stellwerk::{COMPONENT}$kubernetes:{SERVICE}::{MODEL}")]


def test_what_was_deleted_by_hand_is_made_again(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine believes its state: without a refresh it would try to change what is not there."""
    project.point("test", SECOND)
    project.point("prod", FIRST)
    pulumi.results["refresh"] = [True]
    gone = [[step] for step in plan({MODEL: FIRST}, {MODEL: SECOND}).of(MODEL)]
    monkeypatch.setattr(promote.kube, "missing", lambda *_: gone.pop() if gone else [])
    move(words, "prod")
    assert [entry[0] for entry in pulumi.refreshed] == ["prod"]
    assert [command for command, _ in pulumi.shown] == ["preview", "up"]
    assert "not there any more: InferenceService digits" in words


def test_a_definite_reason_ends_the_wait_and_is_told_before_the_undo(
    project: Project, pulumi: Engine, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    pulumi.answers = lambda _: None
    trouble = pods.Trouble("crash", "pod-1", "storage-initializer", "pod-1: ended with exit code 1", final=True)
    monkeypatch.setattr(pods, "troubles", lambda _, model, release: [trouble] if release == SECOND else [])
    when: list[int] = []

    def lines(*_: object) -> list[str]:
        when.append(len(pulumi.changes))
        return ["digest sha256:1 is not sha256:2"]

    monkeypatch.setattr(pods, "last_lines", lines)
    with pytest.raises(DeliveryError, match=r"exit code 1\n  \| digest sha256:1 is not sha256:2; the state before is"):
        move(words, "prod")
    assert clock.now < 30
    assert when == [1], "the pods are gone once the state before is applied"
    assert project.pointers("prod") == (FIRST, None)


def test_the_engine_s_own_wait_counts(
    project: Project, pulumi: Engine, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", SECOND)
    update = pulumi.update

    def slow(name: str, text: str, stop: Callable[[], bool] | None = None, *_: float) -> engine.Update:
        while stop is not None and not stop():
            clock.sleep(1)
        return engine.Update(False, True) if stop else update(name, text)

    monkeypatch.setattr(engine, "update", slow)
    with pytest.raises(DeliveryError, match="does not answer with it"):
        move(words, "prod")
    assert 180 <= clock.now < 190
