"""What is applied is what was shown: whatever moves meanwhile, or moves along, is refused."""

from collections.abc import Callable

import pytest

from delivery import stackfile
from delivery.clients import engine
from delivery.errors import DeliveryError
from delivery.operations import promote
from delivery.operations.plan import Plan
from tests.delivery.conftest import FIRST, MODEL, SECOND, Engine, Project, Words
from tests.delivery.promote.conftest import move, roll_back

Meanwhile = Callable[[Project, Engine], object]
CHANGED = "prod: the environment changed since the preview, look again; nothing was changed"


def answer(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Says yes to the question, after something else has happened."""

    def confirm(*_: object, **__: object) -> bool:
        meanwhile()
        return True

    monkeypatch.setattr(promote.typer, "confirm", confirm)


def add_model(project: Project, name: str, release: str | None) -> None:
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
    project: Project,
    pulumi: Engine,
    words: Words,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project.point("test", SECOND)
    project.point("prod", FIRST)
    seen: list[bytes] = []
    answer(monkeypatch, lambda: (meanwhile(project, pulumi), seen.append(project.text("prod"))))
    with pytest.raises(DeliveryError, match=message):
        move(words, "prod", yes=False)
    assert pulumi.changes == []
    assert project.text("prod") == seen[0]


def test_other_lines_that_are_edited_while_the_question_waits_stay(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", SECOND)
    answer(monkeypatch, lambda: add_model(project, "letters", None))
    move(words, "prod", yes=False)
    models = project.config("prod")["models"]
    assert models[MODEL]["release"] == SECOND
    assert "letters" in models


def test_another_model_s_promotion_while_the_question_waits_is_kept(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The case of the report: the answer used to put the other model's pointer back, silently."""
    project.point("test", SECOND)
    add_model(project, "letters", None)
    releases = project.root / "stacks" / "releases"
    (releases / "letters").mkdir()
    text = (releases / MODEL / f"{FIRST}.yaml").read_text()
    (releases / "letters" / f"{FIRST}.yaml").write_text(
        text.replace("model: digits", "model: letters").replace("key: digits/", "key: letters/")
    )
    pulumi.applied_in("prod")

    def meanwhile() -> None:
        promoted = stackfile.point("prod", "letters", FIRST, None)
        stackfile.write("prod", promoted)
        pulumi.update("prod", promoted)

    answer(monkeypatch, meanwhile)
    move(words, "prod", yes=False)
    models = project.config("prod")["models"]
    assert models["letters"]["release"] == FIRST, "the other model's pointer was put back"
    assert models[MODEL]["release"] == SECOND
    assert pulumi.applied["prod"] == {MODEL: SECOND, "letters": FIRST}


@pytest.mark.parametrize("yes", [True, False])
def test_a_promotion_that_changes_anything_else_is_refused(
    yes: bool, project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two checkouts with one backend: the other one's model would be deleted."""
    project.point("test", SECOND)
    pulumi.applied["prod"] = {MODEL: None, "letters": FIRST}
    pulumi.drifted["prod"] = ("settings",)
    answer(monkeypatch, lambda: pytest.fail("asked about what is refused"))
    before = project.text("prod")
    with pytest.raises(DeliveryError) as raised:
        move(words, "prod", yes=yes)
    said = str(raised.value)
    assert "InferenceService letters (delete), ConfigMap settings (update)" in said
    assert "--allow-other-changes" in said
    assert project.text("prod") == before
    assert pulumi.changes == []


def test_a_rollback_that_changes_anything_else_is_refused(project: Project, pulumi: Engine, words: Words) -> None:
    project.point("prod", SECOND, FIRST)
    pulumi.applied["prod"] = {MODEL: SECOND, "letters": FIRST}
    with pytest.raises(DeliveryError, match=r"what is not digits's: InferenceService letters \(delete\)"):
        roll_back(words)
    assert pulumi.changes == []


def test_other_changes_can_be_allowed(project: Project, pulumi: Engine, words: Words) -> None:
    project.point("test", SECOND)
    pulumi.drifted["prod"] = ("settings",)
    promote.promote(MODEL, "prod", None, None, promote.How(True, 180, words.console, other_changes=True))
    assert project.pointers("prod") == (SECOND, None)


def test_an_update_that_came_in_between_preview_and_update_is_noticed(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By plain `pulumi up`, which knows nothing of the command's lock."""
    project.point("test", SECOND)
    states = iter(["first", "first", "second"])
    monkeypatch.setattr(engine, "state", lambda _: next(states, "second"))
    preview = pulumi.preview

    def moves(name: str, text: str, *, shown: bool) -> Plan:
        next(states)
        return preview(name, text, shown=shown)

    monkeypatch.setattr(engine, "preview", moves)
    before = project.text("prod")
    with pytest.raises(DeliveryError, match=CHANGED):
        move(words, "prod")
    assert project.text("prod") == before
    assert pulumi.changes == []


def test_the_undo_leaves_another_model_s_pointer(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The case of the report: the one that met the lock wiped the other's pointer from the file."""
    project.point("test", SECOND)
    add_model(project, "letters", None)
    update = pulumi.update

    def fails(name: str, text: str, stop: Callable[[], bool] | None = None, *_: float) -> engine.Update:
        if stop is None:
            return update(name, text, stop)
        project.edit("prod", lambda config: config["models"]["letters"].update(replicas=3))
        return engine.Update(False, False)

    monkeypatch.setattr(engine, "update", fails)
    with pytest.raises(DeliveryError, match="the pointer is as it was, and nothing of this is applied"):
        move(words, "prod")
    assert project.config("prod")["models"]["letters"]["replicas"] == 3
    assert project.pointers("prod") == (None, None)
    assert pulumi.changes == [], "there was nothing to take back"


def test_the_undo_leaves_a_pointer_that_somebody_else_has_moved(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", SECOND)

    def fails(name: str, text: str, stop: Callable[[], bool] | None = None, *_: float) -> engine.Update:
        project.point("prod", FIRST)
        return engine.Update(False, True)

    monkeypatch.setattr(engine, "update", fails)
    with pytest.raises(DeliveryError, match=f"its pointer was moved to {FIRST} meanwhile, and stays so"):
        move(words, "prod")
    assert project.pointers("prod") == (FIRST, None)


def test_the_undo_applies_nothing_but_its_own_change(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", SECOND)
    updates: list[str] = []

    def fails(name: str, text: str, stop: Callable[[], bool] | None = None, *_: float) -> engine.Update:
        updates.append(text)
        pulumi.drifted["prod"] = ("settings",)
        return engine.Update(False, True)

    monkeypatch.setattr(engine, "update", fails)
    with pytest.raises(DeliveryError, match=r"not applied, as that would also change ConfigMap settings \(update\)"):
        move(words, "prod")
    assert project.pointers("prod") == (None, None)
    assert len(updates) == 1


def test_an_update_that_meets_another_s_lock_says_whose(
    project: Project, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", SECOND)
    before = project.text("prod")
    monkeypatch.setattr(engine, "update", lambda *_: engine.Update(False, False))
    holders = iter(["anna@laptop, process 7"])
    monkeypatch.setattr(engine, "lock_holder", lambda _: next(holders, None))
    with pytest.raises(DeliveryError, match=r"another update \(anna@laptop, process 7\) began at the same moment; the"):
        move(words, "prod")
    assert project.text("prod") == before
