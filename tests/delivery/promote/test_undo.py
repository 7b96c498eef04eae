"""A move that fails leaves the environment as it was; one that takes its time is waited for."""

from collections.abc import Callable

import pytest

from delivery.clients.engine import Update
from delivery.errors import DeliveryError
from tests.delivery.promote.conftest import move
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import COMPONENT, SERVICE, FakeEngine, plan
from tests.support.pods import container, pod, replica_set, waiting
from tests.support.session import Bench, FakeClock, Words


@pytest.mark.parametrize(
    ("undone", "state"),
    [(True, "the state before is applied again"), (False, "could not be applied: run `pulumi up --stack prod`")],
)
def test_a_failed_update_is_undone(
    undone: bool, state: str, project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    before = project.text("prod")
    pulumi.results["up"] = [False, undone]
    with pytest.raises(DeliveryError, match=rf"prod: {SECOND}: the update failed, see above; .*{state}"):
        move(bench, words, "prod")
    assert project.text("prod") == before
    command, text = pulumi.shown[-1]
    assert (command, text) == ("up", before), "the state before was not applied"
    assert pulumi.changes == ["up", "up"]


def test_an_endpoint_that_never_answers_is_undone(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, clock: FakeClock
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    before = project.text("prod")
    bench.answers["prod"] = lambda: None
    with pytest.raises(DeliveryError, match=rf"prod: {SECOND}: does not answer with it; the state before is applied"):
        move(bench, words, "prod")
    assert project.text("prod") == before
    assert pulumi.shown[-1] == ("up", before)
    assert pulumi.changes == ["up", "up"]
    assert 180 < clock.now < 200
    assert "putting the pointer back" in words


def test_answers_of_the_release_before_in_between_do_not_count(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """Pods of both releases answer in turn: that is not done yet."""
    project.point("test", SECOND)
    project.point("prod", FIRST)
    answers = iter(range(1 << 30))
    bench.answers["prod"] = lambda: FIRST if next(answers) % 9 == 8 else SECOND
    with pytest.raises(DeliveryError, match="does not answer with it"):
        move(bench, words, "prod")
    assert project.pointers("prod") == (FIRST, None)


def test_an_endpoint_that_takes_its_time_is_waited_for(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, clock: FakeClock
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    bench.answers["prod"] = lambda: SECOND if clock.now > 100 else FIRST
    move(bench, words, "prod")
    assert project.pointers("prod") == (SECOND, FIRST)
    assert pulumi.changes == ["up"]


def test_a_pointer_that_was_there_and_still_does_not_answer_stays(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)
    project.point("prod", SECOND, FIRST)
    before = project.text("prod")
    bench.answers["prod"] = lambda: None
    with pytest.raises(DeliveryError, match="does not answer with it; the pointer was there before and stays"):
        move(bench, words, "prod")
    assert project.text("prod") == before
    assert pulumi.changes == ["up"]


def test_the_file_as_people_left_it_is_put_back(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """Byte for byte, with what a YAML writer would tidy up."""
    project.point("test", SECOND)
    text = project.file("prod").read_text().replace("replicas: 1", "replicas:   1   # later") + "# the end\n\n"
    project.file("prod").write_text(text)
    pulumi.results["up"] = [False]
    with pytest.raises(DeliveryError):
        move(bench, words, "prod")
    assert project.text("prod") == text.encode()


def test_what_a_failed_update_has_touched_is_looked_at_before_the_undo(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """An interrupted step may have changed the object, and the engine's state does not know it."""
    project.point("test", SECOND)
    project.point("prod", FIRST)
    pulumi.results["up"] = [False]
    with pytest.raises(DeliveryError):
        move(bench, words, "prod")
    assert pulumi.refreshed == [("prod", f"urn:pulumi:x::stellwerk::{COMPONENT}$kubernetes:{SERVICE}::{MODEL}")]


def test_what_was_deleted_by_hand_is_made_again(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """The engine believes its state: without a refresh it would try to change what is not there."""
    project.point("test", SECOND)
    project.point("prod", FIRST)
    pulumi.results["refresh"] = [True]
    bench.cluster.gone = [[step] for step in plan({MODEL: FIRST}, {MODEL: SECOND}).of(MODEL)]
    move(bench, words, "prod")
    assert [entry[0] for entry in pulumi.refreshed] == ["prod"]
    assert [command for command, _ in pulumi.shown] == ["preview", "up"]
    assert "deleted by hand: InferenceService digits" in words


def test_a_definite_reason_ends_the_wait_and_is_told_before_the_undo(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, clock: FakeClock
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    bench.answers["prod"] = lambda: None
    crashed = container(2, waiting=waiting("CrashLoopBackOff"), last={"reason": "Error", "exitCode": 1})
    bench.cluster.listed = lambda _: [replica_set(SECOND, 2), pod(2, crashed)] if len(pulumi.changes) == 1 else []
    bench.cluster.lines = "digest sha256:1 is not sha256:2\n"
    with pytest.raises(DeliveryError, match=r"exit code 1\n  \| digest sha256:1 is not sha256:2; the state before is"):
        move(bench, words, "prod")
    assert clock.now < 30
    assert project.pointers("prod") == (FIRST, None)


def test_the_engine_s_own_wait_counts(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, clock: FakeClock
) -> None:
    project.point("test", SECOND)

    def slow(_: str, stop: Callable[[], bool] | None) -> Update | None:
        while stop is not None and not stop():
            clock.sleep(1)
        return Update(False, True) if stop else None

    pulumi.instead_of_update = slow
    with pytest.raises(DeliveryError, match="does not answer with it"):
        move(bench, words, "prod")
    assert 180 <= clock.now < 190
