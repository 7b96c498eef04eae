"""What the source environment serves counts, not what its file says."""

import pytest

from delivery.errors import DeliveryError
from tests.delivery.conftest import FIRST, MODEL, SECOND, Engine, Project, Words
from tests.delivery.promote.conftest import move


def refused(project: Project, pulumi: Engine, words: Words, message: str, release: str | None = None) -> None:
    before = {name: project.text(name) for name in ("dev", "test", "prod")}
    with pytest.raises(DeliveryError, match=message):
        move(words, "test", None, release)
    assert {name: project.text(name) for name in before} == before
    assert pulumi.shown == []


def test_a_release_that_the_source_only_names_is_not_promoted(project: Project, pulumi: Engine, words: Words) -> None:
    project.point("dev", SECOND, FIRST)
    pulumi.applied["dev"] = {MODEL: FIRST}
    message = (
        rf"stacks/Pulumi\.dev\.yaml names {SECOND}, but dev serves {FIRST} of digits: that was never applied; "
        r"run `pulumi up --stack dev`, and promote again"
    )
    refused(project, pulumi, words, message)
    refused(project, pulumi, words, message, SECOND)
    move(words, "test", None, FIRST)
    assert project.pointers("test") == (FIRST, None)


def test_a_source_that_was_applied_but_does_not_answer_is_no_source(
    project: Project, pulumi: Engine, words: Words
) -> None:
    project.point("dev", SECOND)
    pulumi.serving["dev"] = None
    refused(project, pulumi, words, f"dev should serve {SECOND} of digits, but does not answer; ")
    pulumi.serving["dev"] = FIRST
    refused(project, pulumi, words, f"dev should serve {SECOND} of digits, but answers with {FIRST}; ")


def test_a_previous_release_counts_when_an_update_has_served_it(project: Project, pulumi: Engine, words: Words) -> None:
    """Anybody can write a release into the file as the one before."""
    project.point("dev", SECOND, FIRST)
    refused(project, pulumi, words, rf"{FIRST} is not what dev serves or has served before; dev serves {SECOND}", FIRST)
    pulumi.updates = [("dev", {MODEL: SECOND}), ("test", {MODEL: FIRST}), ("dev", {"another": FIRST})]
    refused(project, pulumi, words, rf"{FIRST} is not what dev serves or has served before", FIRST)
    pulumi.updates.append(("dev", {MODEL: FIRST}))
    move(words, "test", None, FIRST)
    assert project.pointers("test") == (FIRST, None)


def test_a_failed_update_has_served_nothing(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("dev", SECOND, FIRST)
    pulumi.updates = [("dev", {MODEL: FIRST})]
    told = pulumi.history("dev")
    for change in ({"result": "failed"}, {"kind": "refresh"}, {"kind": "destroy"}, {"config": {}}):
        monkeypatch.setattr("delivery.clients.engine.history", lambda _, change=change: [{**told[0], **change}])
        refused(project, pulumi, words, rf"{FIRST} is not what dev serves or has served before", FIRST)
