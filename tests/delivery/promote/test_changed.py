"""What is applied is what was shown: whatever moves meanwhile, or moves along, is refused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from delivery.clients.backend import Backend
from delivery.clients.engine import Update
from delivery.errors import DeliveryError
from delivery.operations.draft import How
from delivery.project import Pointers
from infra.contract.release import Releases
from infra.contract.stacks import BASE
from tests.delivery.promote.conftest import move, roll_back, yes
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout, write_release
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Words

Meanwhile = Callable[[Checkout, FakeEngine], object]
CHANGED = "prod: the environment changed since the preview, look again; nothing was changed"


def answer(words: Words, meanwhile: Callable[[], object], *, asks: bool = True) -> How:
    """Say yes to the question, after something else has happened."""

    def confirm(_: str) -> bool:
        meanwhile()
        return True

    return How(not asks, 180, words.console, confirm)


@dataclass(frozen=True)
class Held(Backend):
    """A backend whose lock others hold, in turn."""

    holders: Iterator[str]

    def holder(self, environment: str) -> str | None:
        return next(self.holders, None)


def add_model(project: Checkout, name: str, release: str | None) -> None:
    for environment in ("dev", "test", "prod"):
        entry = {"release": release, "previous": None, "replicas": 1, "nodePool": None}
        project.edit(environment, lambda config, entry=entry: config["models"].update({name: dict(entry)}))


@pytest.mark.parametrize(
    ("meanwhile", "message"),
    [
        (lambda project, pulumi: project.point("prod", SECOND), CHANGED),
        (lambda project, pulumi: project.point("prod", FIRST, SECOND), CHANGED),
        (lambda project, pulumi: pulumi.applied["prod"].update({MODEL: SECOND}), CHANGED),
        (
            lambda project, pulumi: pulumi.applied["prod"].update(letters=FIRST),
            r"would also change .* letters \(delete",
        ),
        (lambda project, pulumi: pulumi.drifted.update(prod=("settings",)), r"would also change .* settings \(update"),
    ],
    ids=["the pointer", "the release before", "the state", "another model's state", "another resource"],
)
def test_a_change_while_the_question_waits_is_refused(
    meanwhile: Meanwhile,
    message: str,
    project: Checkout,
    pulumi: FakeEngine,
    bench: Bench,
    words: Words,
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    seen: list[bytes] = []
    how = answer(words, lambda: (meanwhile(project, pulumi), seen.append(project.text("prod"))))
    with pytest.raises(DeliveryError, match=message):
        move(bench, words, "prod", how=how)
    assert pulumi.changes == []
    assert project.text("prod") == seen[0]


def test_other_lines_that_are_edited_while_the_question_waits_stay(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)
    move(bench, words, "prod", how=answer(words, lambda: add_model(project, "letters", None)))
    models = project.config("prod")["models"]
    assert models[MODEL]["release"] == SECOND
    assert "letters" in models


def test_another_model_s_promotion_while_the_question_waits_is_kept(
    project: Checkout, releases: Releases, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """The case of the report: the answer used to put the other model's pointer back, silently."""
    project.point("test", SECOND)
    add_model(project, "letters", None)
    write_release(releases, "letters", FIRST)
    pulumi.applied_in("prod")

    def meanwhile() -> None:
        other = project.project()
        promoted = other.point("prod", "letters", Pointers(FIRST, None))
        other.write("prod", promoted)
        pulumi.update("prod", promoted)

    move(bench, words, "prod", how=answer(words, meanwhile))
    models = project.config("prod")["models"]
    assert models["letters"]["release"] == FIRST, "the other model's pointer was put back"
    assert models[MODEL]["release"] == SECOND
    assert pulumi.applied["prod"] == {MODEL: SECOND, "letters": FIRST}


@pytest.mark.parametrize("asks", [True, False])
def test_a_promotion_that_changes_anything_else_is_refused(
    asks: bool, project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """Two checkouts with one backend: the other one's model would be deleted."""
    project.point("test", SECOND)
    pulumi.applied["prod"] = {MODEL: None, "letters": FIRST}
    pulumi.drifted["prod"] = ("settings",)
    how = answer(words, lambda: pytest.fail("asked about what is refused"), asks=asks)
    before = project.text("prod")
    with pytest.raises(DeliveryError) as raised:
        move(bench, words, "prod", how=how)
    said = str(raised.value)
    assert "InferenceService letters (delete), ConfigMap settings (update)" in said
    assert "--allow-other-changes" in said
    assert project.text("prod") == before
    assert pulumi.changes == []


def test_a_rollback_that_changes_anything_else_is_refused(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("prod", SECOND, FIRST)
    pulumi.applied["prod"] = {MODEL: SECOND, "letters": FIRST}
    with pytest.raises(DeliveryError, match=r"what is not digits's: InferenceService letters \(delete\)"):
        roll_back(bench, words)
    assert pulumi.changes == []


def test_other_changes_can_be_allowed(project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    project.point("test", SECOND)
    pulumi.drifted["prod"] = ("settings",)
    move(bench, words, "prod", how=How(True, 180, words.console, yes, other_changes=True))
    assert project.pointers("prod") == (SECOND, None)


def test_an_update_that_came_in_between_preview_and_update_is_noticed(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, tmp_path: Path
) -> None:
    """By plain `pulumi up`, which knows nothing of the command's lock."""
    project.point("test", SECOND)
    state = tmp_path / "state" / "backend" / ".pulumi" / "stacks" / "stellwerk" / "prod.json"
    state.parent.mkdir(parents=True)
    pulumi.before_preview = lambda: state.write_text("{}")
    before = project.text("prod")
    with pytest.raises(DeliveryError, match=CHANGED):
        move(bench, words, "prod")
    assert project.text("prod") == before
    assert pulumi.changes == []


def test_what_environments_share_is_noticed_when_it_changes_between_preview_and_update(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)
    pulumi.before_preview = lambda: (project.root / BASE).write_text("config: {}\n")
    before = project.text("prod")
    with pytest.raises(DeliveryError, match=CHANGED):
        move(bench, words, "prod")
    assert project.text("prod") == before
    assert pulumi.changes == []


def test_the_undo_leaves_another_model_s_pointer(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """The case of the report: the one that met the lock wiped the other's pointer from the file."""
    project.point("test", SECOND)
    add_model(project, "letters", None)

    def fails(_: str, stop: Callable[[], bool] | None) -> Update | None:
        if stop is None:
            return None
        project.edit("prod", lambda config: config["models"]["letters"].update(replicas=3))
        return Update(False, False)

    pulumi.instead_of_update = fails
    with pytest.raises(DeliveryError, match="the pointer is as it was, and nothing of this is applied"):
        move(bench, words, "prod")
    assert project.config("prod")["models"]["letters"]["replicas"] == 3
    assert project.pointers("prod") == (None, None)
    assert pulumi.changes == [], "there was nothing to take back"


def test_the_undo_leaves_a_pointer_that_somebody_else_has_moved(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)

    def fails(*_: object) -> Update:
        project.point("prod", FIRST)
        return Update(False, True)

    pulumi.instead_of_update = fails
    with pytest.raises(DeliveryError, match=f"its pointer was moved to {FIRST} meanwhile, and stays so"):
        move(bench, words, "prod")
    assert project.pointers("prod") == (FIRST, None)


def test_the_undo_applies_nothing_but_its_own_change(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)
    updates: list[str] = []

    def fails(environment: str, _: object) -> Update:
        updates.append(environment)
        pulumi.drifted["prod"] = ("settings",)
        return Update(False, True)

    pulumi.instead_of_update = fails
    with pytest.raises(DeliveryError, match=r"not applied, as that would also change ConfigMap settings \(update\)"):
        move(bench, words, "prod")
    assert project.pointers("prod") == (None, None)
    assert len(updates) == 1


def test_an_update_that_meets_another_s_lock_says_whose(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)
    before = project.text("prod")
    pulumi.instead_of_update = lambda *_: Update(False, False)
    bench.backend = Held(pulumi, iter(["anna@laptop, process 7"]))
    with pytest.raises(DeliveryError, match=r"another update \(anna@laptop, process 7\) began at the same moment; the"):
        move(bench, words, "prod")
    assert project.text("prod") == before
