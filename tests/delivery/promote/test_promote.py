"""Promotion: what may move where, what is shown and asked before, and what is applied."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from delivery.errors import DeliveryError
from delivery.operations.draft import How
from delivery.terminal import confirm
from infra.contract.problems import ConfigError
from tests.delivery.promote.conftest import move, yes
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine, history
from tests.support.session import Bench, FakeClock, Words
from tests.support.stores import MemoryStores

Prepare = Callable[[Checkout], object]


def edit_release(project: Checkout, release: str, **evaluation: object) -> None:
    file = project.root / "stacks" / "releases" / MODEL / f"{release}.yaml"
    document = YAML(typ="safe").load(file)
    document["evaluation"].update(evaluation)
    YAML(typ="safe").dump(document, file)


GATE = {"metric": "accuracy", "operator": ">=", "threshold": 0.99, "value": 0.97, "passed": False}


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (
            lambda project: project.edit("prod", lambda config: config["models"].clear()),
            ("prod",),
            r"stacks/Pulumi\.prod\.yaml: there is no model 'digits'; models there: none",
        ),
        (
            lambda project: project.edit("test", lambda config: config["models"].clear()),
            ("prod",),
            r"stacks/Pulumi\.test\.yaml: there is no model 'digits'; models there: none",
        ),
        (lambda _: None, ("prod",), "test has no release of digits yet; run `stellwerk promote digits --to test`"),
        (lambda _: None, ("prod", "dev"), "prod takes releases that test has accepted, not from dev"),
        (
            lambda project: project.point("test", FIRST),
            ("prod", None, SECOND),
            rf"{SECOND} is not what test serves or has served before; test serves {FIRST} of digits; run `stellwerk "
            rf"promote digits --to test --release {SECOND}` first",
        ),
        (lambda _: None, ("prod", None, FIRST), r"test serves no release of digits; run `stellwerk promote"),
        (
            lambda project: project.point("test", FIRST),
            ("prod", None, "v3-00000000"),
            rf"v3-00000000\.yaml: there is no such release; releases of digits: {FIRST}, {SECOND}",
        ),
        (lambda _: None, ("dev", None, "v3-00000000"), r"there is no such release"),
        (lambda _: None, ("dev", "test", FIRST), "dev takes releases from training, not from another environment"),
        (lambda _: None, ("dev",), rf"--to dev needs --release: .*; releases of digits: {FIRST}, {SECOND}"),
        (
            lambda project: (project.point("test", SECOND), edit_release(project, SECOND, gates=[GATE])),
            ("prod",),
            rf"release {SECOND}: gates not passed: accuracy; it is not promoted",
        ),
    ],
    ids=[
        "target without model", "source without model", "source without release", "source that is not the one before",
        "not served", "nothing served", "unknown", "unknown in dev", "a source for dev", "dev needs a release", "gate",
    ],
)  # fmt: skip
def test_a_wrong_state_is_one_message_and_nothing_changes(
    prepare: Prepare,
    arguments: tuple[str, ...],
    message: str,
    project: Checkout,
    pulumi: FakeEngine,
    bench: Bench,
    words: Words,
) -> None:
    prepare(project)
    before = {name: project.text(name) for name in ("dev", "test", "prod")}
    with pytest.raises((DeliveryError, ConfigError), match=message) as raised:
        move(bench, words, *arguments)
    assert "\n" not in str(raised.value)
    assert {name: project.text(name) for name in before} == before
    assert pulumi.shown == []


def test_without_any_release_dev_says_how_to_make_one(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    for file in (project.root / "stacks" / "releases" / MODEL).iterdir():
        file.unlink()
    with pytest.raises(DeliveryError, match="releases of digits: none; run `stellwerk release digits`"):
        move(bench, words, "dev")


def test_a_promotion_previews_applies_and_waits(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, artefacts: MemoryStores
) -> None:
    project.point("test", SECOND, FIRST)
    project.point("prod", FIRST)
    before = project.text("prod")
    move(bench, words, "prod")
    after = project.text("prod")
    assert project.pointers("prod") == (SECOND, FIRST)
    assert pulumi.shown == [("preview", before), ("up", after)], "the preview must not see a changed file"
    assert pulumi.previewed == [after]
    assert artefacts.moved == [("test", "prod")]
    assert f"prod answers with {SECOND}" in words


@pytest.mark.parametrize(("source", "brought"), [(None, "test"), ("test", "test")])
def test_the_artefact_comes_from_the_source(
    source: str | None,
    brought: str,
    project: Checkout,
    pulumi: FakeEngine,
    bench: Bench,
    words: Words,
    artefacts: MemoryStores,
) -> None:
    project.point(brought, FIRST)
    move(bench, words, "prod", source)
    assert artefacts.moved == [(brought, "prod")]


def test_dev_has_its_artefacts_already(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, artefacts: MemoryStores
) -> None:
    move(bench, words, "dev", None, FIRST)
    assert project.pointers("dev") == (FIRST, None)
    assert artefacts.moved == []


def test_what_the_source_served_before_is_accepted(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND, FIRST)
    pulumi.updates = [history("test", {MODEL: SECOND}), history("test", {MODEL: FIRST})]
    move(bench, words, "prod", None, FIRST)
    assert project.pointers("prod") == (FIRST, None)


def test_the_artefact_is_there_before_the_pointer_moves(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, artefacts: MemoryStores
) -> None:
    artefacts.objects["test"] = dict.fromkeys(artefacts.objects["test"], b"x" * 12345)
    project.point("test", FIRST)
    before = project.text("prod")
    with pytest.raises(DeliveryError, match="the artefact was changed"):
        move(bench, words, "prod")
    assert project.text("prod") == before
    assert pulumi.shown == []


def test_a_failed_preview_changes_nothing(project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    project.point("test", FIRST)
    before = project.text("prod")
    pulumi.results["preview"] = [False]
    with pytest.raises(DeliveryError, match="the preview of prod failed, see above; nothing was changed"):
        move(bench, words, "prod")
    assert project.text("prod") == before
    assert pulumi.changes == []


@pytest.mark.parametrize("said", ["n\n", "\n", "no\n"])
def test_no_changes_nothing(
    said: str, project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    project.point("test", FIRST)
    before = project.text("prod")
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    with pytest.raises(DeliveryError, match="nothing was changed"):
        move(bench, words, "prod", how=How(False, 180, words.console, confirm))
    assert [command for command, _ in pulumi.shown] == ["preview"], "what is asked about was not shown"
    assert project.text("prod") == before
    captured = capsys.readouterr()
    assert "Apply this to prod? [y/N]" in captured.err
    assert captured.out.strip() == ""


def test_yes_applies(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", FIRST)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    move(bench, words, "prod", how=How(False, 180, words.console, confirm))
    assert project.pointers("prod") == (FIRST, None)


def test_what_answers_already_is_left_alone(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, clock: FakeClock
) -> None:
    project.point("test", SECOND)
    project.point("prod", SECOND, FIRST)
    before = project.text("prod")
    pulumi.serving["prod"] = SECOND
    move(bench, words, "prod")
    assert pulumi.shown == []
    assert project.text("prod") == before, "the release before must not be forgotten"
    assert f"prod answers with {SECOND} already: nothing to do" in words
    assert clock.now < 5


def test_a_pointer_that_was_never_applied_is_applied(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.point("test", SECOND)
    project.point("prod", SECOND, FIRST)
    pulumi.serving["prod"] = None
    before = project.text("prod")
    move(bench, words, "prod")
    assert pulumi.changes == ["up"]
    assert project.text("prod") == before


def test_another_update_is_waited_for_before_anything_is_previewed(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, clock: FakeClock, tmp_path: Path
) -> None:
    """A lock of another machine: nothing here can tell whether it is alive."""
    lock = tmp_path / "state" / "backend" / ".pulumi" / "locks" / "organization" / "stellwerk" / "prod" / "1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text('{"pid": 1, "hostname": "another-machine"}')
    previewed: list[int] = []

    def ends(_: float) -> None:
        previewed.append(len(pulumi.shown))
        lock.unlink(missing_ok=True)

    clock.asleep = ends
    project.point("test", FIRST)
    move(bench, words, "prod")
    assert previewed[0] == 0
    assert "waiting for another update of prod (?@another-machine, process 1, since " in words


def test_what_answers_but_was_not_applied_to_its_end_is_applied(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    """Killed after the new pods came up, before the engine had saved its outputs."""
    project.point("test", SECOND)
    project.point("prod", SECOND, FIRST)
    pulumi.serving["prod"] = SECOND
    pulumi.applied["prod"] = {MODEL: FIRST}
    move(bench, words, "prod")
    assert pulumi.changes == ["up"]


def test_time_that_is_over_before_the_update_begins_changes_nothing(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, clock: FakeClock
) -> None:
    """Another promotion was waited for, say, or a large artefact was copied."""
    project.point("test", FIRST)
    before = project.text("prod")
    pulumi.before_preview = lambda: clock.sleep(10)
    with pytest.raises(DeliveryError, match="5 s were over before the update began, nothing was changed"):
        move(bench, words, "prod", how=How(True, 5, words.console, yes))
    assert (project.text("prod"), pulumi.changes) == (before, [])
