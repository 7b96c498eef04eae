"""What the source environment serves counts, not what its file says."""

import pytest

from delivery.errors import DeliveryError
from tests.delivery.promote.conftest import move
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine, history
from tests.support.session import Bench, Words


def refused(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, message: str, release: str | None = None
) -> None:
    before = {name: project.text(name) for name in ("dev", "test", "prod")}
    with pytest.raises(DeliveryError, match=message):
        move(bench, words, "test", None, release)
    assert {name: project.text(name) for name in before} == before
    assert pulumi.shown == []


def test_a_release_that_the_source_only_names_is_not_promoted(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("dev", SECOND, FIRST)
    pulumi.applied["dev"] = {MODEL: FIRST}
    message = (
        rf"stacks/Pulumi\.dev\.yaml names {SECOND}, but dev serves {FIRST} of digits: that was never applied; "
        r"run `pulumi up --stack dev`, and promote again"
    )
    refused(project, pulumi, bench, words, message)
    refused(project, pulumi, bench, words, message, SECOND)
    move(bench, words, "test", None, FIRST)
    assert project.pointers("test") == (FIRST, None)


def test_a_source_that_was_applied_but_does_not_answer_is_no_source(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("dev", SECOND)
    pulumi.serving["dev"] = None
    refused(project, pulumi, bench, words, f"dev should serve {SECOND} of digits, but does not answer; ")
    pulumi.serving["dev"] = FIRST
    refused(project, pulumi, bench, words, f"dev should serve {SECOND} of digits, but answers with {FIRST}; ")


def test_a_previous_release_counts_when_an_update_has_served_it(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """Anybody can write a release into the file as the one before."""
    project.point("dev", SECOND, FIRST)
    refused(
        project,
        pulumi,
        bench,
        words,
        rf"{FIRST} is not what dev serves or has served before; dev serves {SECOND}",
        FIRST,
    )
    held = [("dev", {MODEL: SECOND}), ("test", {MODEL: FIRST}), ("dev", {"another": FIRST})]
    pulumi.updates = [history(name, models) for name, models in held]
    refused(project, pulumi, bench, words, rf"{FIRST} is not what dev serves or has served before", FIRST)
    pulumi.updates.append(history("dev", {MODEL: FIRST}))
    move(bench, words, "test", None, FIRST)
    assert project.pointers("test") == (FIRST, None)


def test_a_failed_update_has_served_nothing(project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    project.point("dev", SECOND, FIRST)
    for change in ({"result": "failed"}, {"kind": "refresh"}, {"kind": "destroy"}, {"config": {}}):
        pulumi.updates = [{**history("dev", {MODEL: FIRST}), **change}]
        refused(project, pulumi, bench, words, rf"{FIRST} is not what dev serves or has served before", FIRST)
