"""A move of one model on the real engine, in a state with others: they are neither looked at nor touched."""

import gc
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.apart import Copy
from delivery.clients.checkpoint import content, outputs, read, stacks
from delivery.clients.engine import Engine
from delivery.clients.part import Part, part
from delivery.clients.plan import Plan
from delivery.errors import DeliveryError
from infra.targets.variables import PULUMI_BACKEND_URL, PULUMI_SKIP_CHECKPOINTS
from tests.support.engine import COMPONENT, exported, plan
from tests.support.rendered import rendered

STATE = exported(plan({"digits": "v1", "letters": "v1", "words": None}, {}), None)
TEXT = 'config: {}\nencryptionsalt: ""\n'
BASE = {"gateway": "1"}
MODELS = {"digits": "1", "digits-2": "1", "letters": "1"}


def names(state: Mapping[str, Any]) -> list[str]:
    return sorted(item["urn"].rpartition("::")[2] for item in state["deployment"]["resources"])


@pytest.mark.parametrize("enabled", [True, False])
def test_a_state_that_is_not_readable_leaves_the_collector_as_it_was(tmp_path: Path, enabled: bool) -> None:
    file, before = tmp_path / "prod.json", gc.isenabled()
    file.write_text("{")
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(DeliveryError, match="is no backup of a state"):
            read(file)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("value", ["\ud800", 2**70, [1.5, None, "ü"]])
def test_a_state_is_read_as_it_was_written(tmp_path: Path, value: object) -> None:
    state = {"version": 3, "deployment": {"resources": [{"urn": "urn:x", "inputs": {"value": value}}]}}
    (tmp_path / "x.json").write_bytes(content(state, "stellwerk", "x"))
    assert read(tmp_path / "x.json") == state


def test_a_part_has_the_model_and_what_is_no_model_s() -> None:
    made = part(STATE, "digits")
    assert made is not None
    assert names(made.state) == ["digits", "stellwerk-x"]
    assert names(STATE) == ["digits", "letters", "stellwerk-x"], "the state itself stays"


def test_the_engine_s_own_provider_is_left_out_of_a_preview_where_nothing_needs_it(tmp_path: Path) -> None:
    own = {"urn": "urn:pulumi:x::stellwerk::pulumi:providers:pulumi::default", "type": "pulumi:providers:pulumi"}
    user = {"urn": "urn:x", "type": "pulumi:pulumi:StackReference", "provider": f"{own['urn']}::id"}
    for more, kept in (([own], []), ([own, user], ["default", "urn:x"])):
        made = part({"version": 3, "deployment": {"resources": [*STATE["deployment"]["resources"], *more]}}, "digits")
        assert made is not None
        folder = tmp_path / str(len(more))
        folder.mkdir()
        made.preview_variables(folder, "stellwerk", "x")
        previewed = read(stacks(folder / "backend", "stellwerk") / "x.json")
        assert names(previewed) == sorted(["digits", "stellwerk-x", *kept])
        assert "default" in names(made.state), "the update has it as the state itself"


def test_a_stack_without_other_models_has_no_part() -> None:
    assert part(exported(plan({"digits": "v1"}, {}), None), "digits") is None


@pytest.mark.parametrize("needs", [
    {"dependencies": ["OTHER"]}, {"deletedWith": "OTHER"}, {"provider": "OTHER::id"},
    {"propertyDependencies": {"metadata": None, "data": ["OTHER"]}},
])  # fmt: skip
def test_what_needs_another_model_is_looked_at_with_it(needs: dict[str, Any]) -> None:
    other = next(item["urn"] for item in STATE["deployment"]["resources"] if item["urn"].endswith("::letters"))
    base = {
        "urn": "urn:pulumi:x::stellwerk::kubernetes:core/v1:ConfigMap::base",
        "type": "kubernetes:core/v1:ConfigMap",
    }
    needing = json.loads(json.dumps({**base, **needs}).replace("OTHER", other))
    assert (
        part({"version": 3, "deployment": {"resources": [*STATE["deployment"]["resources"], needing]}}, "digits")
        is None
    )


def test_an_update_without_targets_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the update of digits has no target"):
        Part("digits", STATE).update(tmp_path)
    assert list(tmp_path.iterdir()) == []


class World:
    """A stack of a file backend on the real engine, whose program declares what variables say."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        made = rendered(folder, Path(__file__).parent / "models_program.py")
        self.root, self.objects = made.root, folder / "rendered"
        # As on the local cluster: the program reads the state while the engine writes it.
        backend = f"{made.variables[PULUMI_BACKEND_URL]}?metadata=skip"
        self.variables = {**made.variables, PULUMI_BACKEND_URL: backend, **variables}
        self.engine(BASE, MODELS).run("stack", "init", "prod", "--no-select")
        assert self.engine(BASE, MODELS).update("prod", TEXT).succeeded

    def engine(self, base: Mapping[str, str], models: Mapping[str, str]) -> Engine:
        return Engine(self.root, {**self.variables, "VALUES": json.dumps({"base": base, "models": models})})

    def look(self, engine: Engine, model: str) -> tuple[Plan, Part]:
        """Preview a move of the model alone."""
        made = part(engine.export("prod"), model)
        assert made is not None
        planned = engine.preview("prod", TEXT, shown=False, part=made)
        return planned, replace(made, targets=tuple(step.urn for step in planned.of(model)))

    def held(self, model: str) -> dict[str, Any]:
        """What the state holds of a model, by URN."""
        resources = self.engine(BASE, MODELS).export("prod")["deployment"]["resources"]
        return {
            item["urn"]: item for item in resources if COMPONENT in item["urn"] and item["urn"].split("::")[-1] == model
        }


COPIED = {PULUMI_SKIP_CHECKPOINTS: "true", "ASKS": "true"}


@pytest.fixture(params=[{PULUMI_SKIP_CHECKPOINTS: "false"}, COPIED], ids=["in the state", "in a copy"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, request.param)


@pytest.mark.tools
def test_a_move_changes_its_model_and_no_other(world: World) -> None:
    before = {name: world.held(name) for name in ("letters", "digits-2")}
    wanted = {**MODELS, "digits": "2"}
    engine = world.engine(BASE, wanted)
    planned, confined = world.look(engine, "digits")
    assert {step.name for step in planned.changes} == {"digits", "digits-more"}
    assert planned.others("digits") == []
    assert engine.update("prod", TEXT, part=confined).succeeded
    assert {name: world.held(name) for name in ("letters", "digits-2")} != {}
    assert world.held("letters") == before["letters"]
    assert outputs(engine.export("prod"))["models"] == wanted
    assert engine.locks("prod").interrupted is None
    assert [entry["result"] for entry in engine.history("prod")] == ["succeeded", "succeeded"]
    kept = max((world.root.parent / "backend/.pulumi/history/stellwerk/prod").glob("*.checkpoint.json"))
    assert read(kept) == engine.export("prod"), "the history has the other models, too"
    # Everything is as a whole update would have made it.
    assert engine.preview("prod", TEXT, shown=False).changes == []


@pytest.mark.tools
def test_a_first_release_and_the_last_one_s_end_are_moves_too(world: World) -> None:
    wanted = {**MODELS, "words": "1"}
    engine = world.engine(BASE, wanted)
    planned, confined = world.look(engine, "words")
    assert {step.op for step in planned.changes} == {"create"}
    assert len(confined.targets) == 3
    assert engine.update("prod", TEXT, part=confined).succeeded
    assert engine.preview("prod", TEXT, shown=False).changes == []
    back = world.engine(BASE, MODELS)
    planned, confined = world.look(back, "words")
    assert {step.op for step in planned.changes} == {"delete"}
    assert back.update("prod", TEXT, part=confined).succeeded
    assert back.preview("prod", TEXT, shown=False).changes == []


@pytest.mark.tools
def test_a_first_release_that_failed_half_way_is_known_and_completed(tmp_path: Path) -> None:
    world = World(tmp_path, COPIED)
    engine = world.engine(BASE, {**MODELS, "words": "1"})
    _, confined = world.look(engine, "words")
    obstacle = world.objects / "1-manifest" / "v1-configmap-default-words-more.yaml"
    obstacle.mkdir()
    assert not engine.update("prod", TEXT, part=confined).succeeded
    made = engine.resources("prod").of("words")
    assert 0 < len(made) < 3, "what was made before it failed"
    obstacle.rmdir()
    assert engine.update("prod", TEXT, part=confined).succeeded
    assert len(engine.resources("prod").of("words")) == 3
    assert engine.preview("prod", TEXT, shown=False).changes == []


@pytest.mark.tools
def test_a_first_release_whose_command_is_killed_before_it_saves_is_made_again(tmp_path: Path) -> None:
    world = World(tmp_path, COPIED)
    engine = world.engine(BASE, {**MODELS, "words": "1"})
    _, confined = world.look(engine, "words")
    before, folder = engine.export("prod"), tmp_path / "killed"
    folder.mkdir()
    (folder / "Pulumi.prod.yaml").write_text(TEXT)
    copy = Copy.make(engine.variables, engine.state_file("prod"), engine.locks("prod"), folder, "words")
    assert copy is not None
    targets, variables = confined.update(folder)
    given = ["up", "--stack", "prod", "--config-file", str(folder / "Pulumi.prod.yaml"), "--yes", "--skip-preview"]
    assert engine.show(*given, *targets, variables={**variables, **copy.variables})
    assert engine.export("prod") == before
    assert engine.locks("prod").interrupted is not None, "the next command reads the cluster"
    assert engine.update("prod", TEXT, part=confined).succeeded
    assert len(engine.resources("prod").of("words")) == 3
    assert engine.preview("prod", TEXT, shown=False).changes == []


@pytest.mark.tools
def test_a_change_of_what_is_no_model_s_is_seen_and_never_made(world: World) -> None:
    wanted = {**MODELS, "letters": "2"}
    for base, op in (({"gateway": "1", "store": "1"}, "create"), ({}, "delete"), ({"gateway": "2"}, "update")):
        engine = world.engine(base, wanted)
        planned, confined = world.look(engine, "letters")
        assert {step.op for step in planned.others("letters")} == {op}
    engine.update("prod", TEXT, part=confined)
    resources = engine.export("prod")["deployment"]["resources"]
    assert [item["inputs"]["data"] for item in resources if item["urn"].endswith("::gateway")] == [{"content": "1"}]


@pytest.mark.tools
def test_a_model_that_came_after_the_preview_stays(world: World) -> None:
    """Somebody else's, of which this command knows nothing: the engine deletes no more than its targets."""
    engine = world.engine(BASE, {**MODELS, "digits": "2"})
    _, confined = world.look(engine, "digits")
    assert world.engine(BASE, {**MODELS, "words": "1"}).update("prod", TEXT).succeeded
    assert engine.update("prod", TEXT, part=confined).succeeded
    assert "words" in names(engine.export("prod"))


@pytest.mark.tools
def test_a_move_and_another_update_exclude_each_other(world: World) -> None:
    engine = world.engine(BASE, {**MODELS, "digits": "2"})
    _, confined = world.look(engine, "digits")
    with engine.locks("prod").taken() as taken:
        assert taken
        update = engine.update("prod", TEXT, part=confined)
    assert (update.succeeded, update.begun, update.problem) == (False, False, "")
    assert outputs(engine.export("prod"))["models"] == MODELS
    assert engine.locks("prod").interrupted is None
    assert engine.update("prod", TEXT, part=confined).succeeded


@pytest.mark.tools
def test_a_variable_that_is_left_over_stops_the_program(world: World, tmp_path: Path) -> None:
    engine = world.engine(BASE, MODELS)
    left = Engine(world.root, {**engine.variables, "STELLWERK_MOVE": str(tmp_path / "gone")})
    with pytest.raises(DeliveryError):
        left.preview("prod", TEXT, shown=False)
    assert not left.update("prod", TEXT).succeeded
    assert engine.preview("prod", TEXT, shown=False).changes == []
