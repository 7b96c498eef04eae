"""Rollback: the two pointers swap."""

import pytest

from delivery.errors import DeliveryError
from tests.delivery.promote.conftest import roll_back
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Words


def test_a_rollback_swaps_and_a_second_one_swaps_back(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("prod", SECOND, FIRST)
    before = project.text("prod")
    roll_back(bench, words)
    assert project.pointers("prod") == (FIRST, SECOND)
    assert pulumi.shown == [("preview", before), ("up", project.text("prod"))]
    roll_back(bench, words)
    assert project.text("prod") == before


def test_a_rollback_that_fails_is_undone(project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    project.point("prod", SECOND, FIRST)
    before = project.text("prod")
    pulumi.results["up"] = [False]
    with pytest.raises(DeliveryError, match="the state before is applied again"):
        roll_back(bench, words)
    assert project.text("prod") == before


@pytest.mark.parametrize("current", [None, FIRST])
def test_without_a_previous_release_there_is_nothing_to_go_back_to(
    current: str | None, project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("prod", current)
    before = project.text("prod")
    with pytest.raises(DeliveryError) as raised:
        roll_back(bench, words)
    assert str(raised.value) == (
        "stacks/Pulumi.prod.yaml: digits has no previous release; there is nothing to go back to"
    )
    assert project.text("prod") == before
    assert pulumi.shown == []


def test_after_an_interrupted_update_a_rollback_says_how_to_complete_it(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """File and stack differ: swapping now would undo a rollback that was interrupted."""
    project.point("prod", FIRST, SECOND)
    pulumi.applied["prod"] = {MODEL: SECOND}
    with pytest.raises(DeliveryError, match="`pulumi up --stack prod` completes it"):
        roll_back(bench, words)
    assert project.pointers("prod") == (FIRST, SECOND)
    assert pulumi.shown == []
