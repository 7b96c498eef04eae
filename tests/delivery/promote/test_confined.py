"""Among several models the engine is confined to the one that moves, unless something else differs."""

import pytest

from delivery.errors import DeliveryError
from delivery.operations.draft import How
from infra.contract.release import Releases
from infra.services.serving import APPLIED, digests
from tests.delivery.promote.conftest import move, yes
from tests.delivery.promote.test_changed import add_model
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout, write_release
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Words

OTHER = "letters"


@pytest.fixture(autouse=True)
def two_models(project: Checkout, releases: Releases, pulumi: FakeEngine) -> None:
    """prod serves two models, and was applied as its file says; test serves the next release of one."""
    write_release(releases, OTHER, FIRST)
    add_model(project, OTHER, FIRST)
    project.edit("test", lambda config: config["models"][MODEL].update(release=SECOND))
    project.edit("prod", lambda config: config["models"][MODEL].update(release=FIRST))
    applied(project, pulumi)


def applied(project: Checkout, pulumi: FakeEngine) -> None:
    environment = project.project().environment("prod")
    pulumi.stack_outputs = {"models": {MODEL: SECOND, OTHER: FIRST}, APPLIED: digests(environment)}
    pulumi.applied_in("prod")


def parts(pulumi: FakeEngine) -> list[str | None]:
    """The models to which previews and updates were confined."""
    return [part and part.model for part in pulumi.parts]


def test_preview_and_update_are_confined_to_the_model(pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    move(bench, words, "prod")
    assert parts(pulumi) == [MODEL, MODEL]
    preview, update = pulumi.parts
    assert preview and update
    held = [item["urn"].rpartition("::")[2] for item in preview.state["deployment"]["resources"]]
    assert OTHER not in held
    assert {urn.rpartition("::")[2] for urn in update.targets} == {MODEL}


def test_what_fails_is_undone_in_the_same_part(pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    pulumi.results["up"] = [False]
    with pytest.raises(DeliveryError, match="the state before is applied again"):
        move(bench, words, "prod")
    assert parts(pulumi) == [MODEL] * 4
    assert all(part and part.targets for part in pulumi.parts[1::2])


@pytest.mark.parametrize("edit", [
    {OTHER: {"release": FIRST, "replicas": 2}}, {"words": {"release": None}}, {OTHER: None},
], ids=["other values", "a new model", "one fewer"])  # fmt: skip
def test_where_another_model_differs_everything_is_looked_at(
    edit: dict[str, dict[str, object] | None], project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """A whole preview shows what becomes of it, and refuses what the move would take along."""

    def change(config: dict[str, dict[str, object]]) -> None:
        for name, values in edit.items():
            config["models"].pop(name, None)
            config["models"].update({name: values} if values else {})

    project.edit("prod", change)
    if OTHER in edit and not edit[OTHER]:
        with pytest.raises(DeliveryError, match=r"would also change .* letters \(delete"):
            move(bench, words, "prod")
    else:
        move(bench, words, "prod")
    assert set(parts(pulumi)) == {None}


def test_who_allows_other_changes_has_everything_applied(pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    move(bench, words, "prod", how=How(True, 180, words.console, yes, other_changes=True))
    assert parts(pulumi) == [None, None]


def test_a_stack_that_says_nothing_of_its_models_is_looked_at_as_a_whole(
    pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """Applied by an older version: the first whole update says it."""
    assert pulumi.stack_outputs is not None
    del pulumi.stack_outputs[APPLIED]
    move(bench, words, "prod")
    assert parts(pulumi) == [None, None]
