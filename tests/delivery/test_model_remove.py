"""`stellwerk model remove`: everything of a model goes but its releases, and a removal that was cut off goes on."""

import difflib
from collections.abc import Callable

import pytest

from delivery.clients.engine import Update
from delivery.errors import DeliveryError
from delivery.operations.remove import How, plan_removal, remove
from infra.contract.release import Releases
from infra.contract.stacks import BASE
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.documents import ENVIRONMENTS, yaml
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Command, FakeCluster, Words
from tests.support.stores import ObjectStores

JOBS = [{"metadata": {"name": f"train-{MODEL}-1"}}, {"metadata": {"name": f"train-{MODEL}-2"}}]


@pytest.fixture
def served(
    project: Checkout, releases: Releases, stores: ObjectStores, pulumi: FakeEngine, cluster: FakeCluster
) -> ObjectStores:
    """The model is served by each environment and trained in dev; each store has more than its releases need."""
    pulumi.known = {*ENVIRONMENTS}
    for name in ENVIRONMENTS:
        project.point(name, FIRST)
        for release in (FIRST, SECOND):
            stores.put(name, releases.load(MODEL, release).artefact.key, b"needed")
        stores.put(name, f"{MODEL}/sha256-{'0' * 64}.onnx", b"of a run that nobody released")
        stores.put(name, f"candidates/{MODEL}/train-{MODEL}-1.json", b"{}")
        stores.put(name, f"{MODEL}-of-another/sha256-{'1' * 64}.onnx", b"another model's")
    cluster.listed = lambda asked: JOBS if "dev-training" in asked and "jobs" in asked else []
    return stores


def taken_out(bench: Bench, words: Words, confirmed: Callable[[], bool] = lambda: True, other: bool = False) -> None:
    session, how = bench.session(), How(MODEL, words.console, other)
    remove(session, how, plan_removal(session, how), confirmed)


def everything(project: Checkout) -> dict[str, bytes]:
    files = (file for file in project.root.rglob("*") if file.is_file())
    return {file.relative_to(project.root).as_posix(): file.read_bytes() for file in files}


def test_everything_goes_but_releases_and_what_they_need(
    served: ObjectStores, project: Checkout, releases: Releases, bench: Bench, stellwerk: Command
) -> None:
    before = everything(project)
    code, out, err = stellwerk("model", "remove", MODEL, "--yes")
    assert code == 0
    after = everything(project)
    assert {name for name in before if name.startswith("stacks/releases/")} <= set(after)
    assert not [name for name in after if name.startswith("models/")]
    assert [command for command, _ in bench.engine.shown] == ["preview"] * 3 + ["up"] * 3
    assert [line.split(":")[0] for line in err.splitlines() if "is removed" in line][:3] == ["prod", "test", "dev"]
    needed = {releases.load(MODEL, release).artefact.key for release in (FIRST, SECOND)}
    for name in ENVIRONMENTS:
        assert project.config(name)["models"] == {}
        assert set(served.keys(name)) == needed | {f"{MODEL}-of-another/sha256-{'1' * 64}.onnx"}
    assert project.config("dev")["training"] == {}
    (deletion,) = [asked for asked in bench.cluster.asked if "delete" in asked]
    assert {f"train-{MODEL}-1", f"train-{MODEL}-2"} < set(deletion)
    for line in (
        f"stacks/Pulumi.dev.yaml: the entries of {MODEL}",
        f"prod: delete InferenceService {MODEL}",
        f"dev: delete Job train-{MODEL}-2",
        "test: delete 2 objects of the store that no release names",
        f"models/{MODEL}/train.py",
    ):
        assert line in out.splitlines()


def test_a_second_time_there_is_nothing_to_do(
    served: ObjectStores, bench: Bench, cluster: FakeCluster, words: Words, stellwerk: Command, project: Checkout
) -> None:
    taken_out(bench, words)
    cluster.listed = lambda _: []
    before = everything(project)
    bench.engine.parts.clear()
    code, out, _ = stellwerk("model", "remove", MODEL)
    assert (code, out) == (0, f"nothing of {MODEL} is left but its releases: nothing to do\n")
    assert bench.engine.parts == [], "the engine is not asked"
    assert everything(project) == before


def test_nothing_is_changed_when_the_answer_is_no(
    served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    before = everything(project)
    with pytest.raises(DeliveryError, match="nothing was changed"):
        taken_out(bench, words, lambda: False)
    assert everything(project) == before
    assert bench.engine.changes == []
    assert len(served.keys("dev")) == 5


def test_a_preview_that_changes_others_is_refused(
    served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    bench.engine.drifted["test"] = ("by-hand",)
    before = everything(project)
    with pytest.raises(DeliveryError, match=f"test: this would also change what is not {MODEL}'s: ConfigMap by-hand"):
        taken_out(bench, words)
    assert everything(project) == before
    taken_out(bench, words, other=True)
    assert project.config("test")["models"] == {}


def test_an_environment_that_has_nothing_of_it_is_left_alone(
    served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    """Whatever else is not applied there: prod's file and state do not name the model; what its store has goes."""
    project.edit("prod", lambda values: values.update(models={}))
    bench.engine.drifted["prod"] = ("by-hand",)
    previewed: list[str] = []
    bench.engine.looked = lambda text, _: previewed.append(text)
    before = project.text("prod")
    taken_out(bench, words)
    assert project.text("prod") == before
    # In dev and test: once for what others have changed, and for the removal when it is shown and when it is made.
    assert len(previewed) == 2 * 3
    assert [command for command, _ in bench.engine.shown] == ["preview"] * 2 + ["up"] * 2
    assert len(served.keys("prod")) == 3


def test_what_was_changed_while_the_question_waited_is_refused(
    served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    def confirmed() -> bool:
        project.point("prod", SECOND)
        return True

    with pytest.raises(DeliveryError, match="prod: the environment changed since the preview"):
        taken_out(bench, words, confirmed)
    assert project.pointers("prod") == (SECOND, None)
    assert bench.engine.changes == []


def test_what_environments_share_is_watched_while_the_question_waits(
    served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    def confirmed() -> bool:
        (project.root / BASE).write_text("config: {}\n")
        return True

    before = project.text("prod")
    with pytest.raises(DeliveryError, match="prod: the environment changed since the preview"):
        taken_out(bench, words, confirmed)
    assert project.text("prod") == before
    assert bench.engine.changes == []


@pytest.mark.parametrize("key", ["models", "training"])
def test_a_model_that_environments_share_would_come_back(
    key: str, served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    entry = "{release: null}" if key == "models" else "{}"
    (project.root / BASE).write_text(f"# shared\nconfig:\n  stellwerk:{key}:\n    {MODEL}: {entry}\n")
    before = everything(project)
    with pytest.raises(DeliveryError, match=rf"^{BASE}:4: {MODEL} stands here for every environment, and would come"):
        taken_out(bench, words)
    assert everything(project) == before
    assert bench.engine.shown == []


def test_every_file_of_a_release_stays_and_every_other_one_goes(
    served: ObjectStores, releases: Releases, stellwerk: Command
) -> None:
    """Files beside the model's, too, by their content: `needed` is a release's, the other one nobody's."""
    needed, stray = (f"{MODEL}/sha256-{digit * 64}.bin" for digit in "23")
    file = releases.file(MODEL, FIRST)
    document = yaml().load(file)
    document["apiVersion"] = "stellwerk.dev/v2"
    beside = {"name": "weights.bin", "digest": f"sha256:{'2' * 64}", "size": 6, "key": needed}
    document["artefact"]["files"] = [beside]
    yaml().dump(document, file)
    for key in (needed, stray):
        served.put("test", key, b"tensor")
    code, out, _ = stellwerk("model", "remove", MODEL, "--yes")
    assert code == 0
    assert "test: delete 3 objects of the store that no release names" in out.splitlines()
    assert needed in served.keys("test") and stray not in served.keys("test")


def test_an_update_that_has_not_begun_leaves_the_file_as_it_was(
    served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    bench.engine.instead_of_update = lambda environment, _: Update(False, False) if environment == "test" else None
    before = project.text("test")
    with pytest.raises(DeliveryError, match="test: the update failed, see above: it has changed nothing"):
        taken_out(bench, words)
    assert project.text("test") == before
    assert project.config("prod")["models"] == {}
    assert (project.root / "models" / MODEL).is_dir()
    assert len(served.keys("test")) == 5


def test_an_update_that_was_cut_off_is_gone_on_with(
    served: ObjectStores, project: Checkout, bench: Bench, words: Words
) -> None:
    bench.engine.instead_of_update = lambda environment, _: Update(False, True) if environment == "test" else None
    with pytest.raises(DeliveryError, match="test: the update failed, see above: it has removed a part of it"):
        taken_out(bench, words)
    bench.engine.instead_of_update = None
    taken_out(bench, words)
    assert [command for command, _ in bench.engine.shown] == [*["preview"] * 3, "up", *["preview"] * 2, "up", "up"]
    assert not (project.root / "models" / MODEL).exists()
    assert len(served.keys("test")) == 3


def test_a_model_that_no_environment_has_needs_no_backend(
    project: Checkout, pulumi: FakeEngine, stellwerk: Command
) -> None:
    del pulumi.variables["PULUMI_BACKEND_URL"]
    stellwerk("model", "new", "parcels", "--template", "torch")
    stacks = {name: project.text(name) for name in ENVIRONMENTS}
    code, _, err = stellwerk("model", "remove", "parcels", "--yes")
    assert code == 0
    assert "no environment is asked: PULUMI_BACKEND_URL is not set" in err
    assert not (project.root / "models" / "parcels").exists()
    assert {name: project.text(name) for name in ENVIRONMENTS} == stacks


def test_an_environment_that_was_never_applied_loses_its_lines_alone(
    project: Checkout, bench: Bench, words: Words
) -> None:
    before = project.text("dev").decode()
    taken_out(bench, words)
    assert bench.engine.shown == []
    lines = difflib.ndiff(before.splitlines(), project.text("dev").decode().splitlines())
    added = [line[2:] for line in lines if line.startswith("+ ")]
    assert added == ["  stellwerk:training: {}", "  stellwerk:models: {}"]


def test_a_model_of_which_nobody_knows_is_refused(stellwerk: Command) -> None:
    code, _, err = stellwerk("model", "remove", "digit", "--yes")
    assert code == 1
    assert err.startswith(f"error: digit: there is no such model; models: {MODEL}; did you mean {MODEL}?")


@pytest.mark.parametrize("name", ["", ".", "../stacks", "digits/tests"])
def test_what_is_no_models_name_is_no_folder_that_goes(name: str, project: Checkout, stellwerk: Command) -> None:
    before = everything(project)
    code, _, err = stellwerk("model", "remove", name, "--yes")
    assert code == 1
    assert "not allowed; allowed: lower-case letters" in err
    assert everything(project) == before
