"""What the engine has made of a copy of a state gets into the state, or leaves a mark that it did not."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.clients import checkpoint
from delivery.clients.apart import Copy, is_safe
from delivery.clients.locks import StackLocks
from delivery.clients.part import whole
from infra.targets.variables import PULUMI_SKIP_CHECKPOINTS

SKIPS = {PULUMI_SKIP_CHECKPOINTS: "true"}
STACK = "urn:pulumi:x::stellwerk::pulumi:pulumi:Stack::stellwerk-x"
COMPONENT = "stellwerk:index:InferenceService"


def _resources(model: str) -> list[dict[str, Any]]:
    urn = f"urn:pulumi:x::stellwerk::{COMPONENT}::{model}"
    child = f"urn:pulumi:x::stellwerk::{COMPONENT}$kubernetes:core/v1:ConfigMap::{model}-more"
    return [
        {"urn": urn, "type": COMPONENT, "parent": STACK},
        {"urn": child, "type": "kubernetes:core/v1:ConfigMap", "parent": urn, "dependencies": [urn]},
    ]


STATE = {
    "version": 3,
    "deployment": {
        "resources": [
            {"urn": STACK, "type": "pulumi:pulumi:Stack"}, *_resources("digits"), *_resources("letters"),
        ]
    },
}  # fmt: skip


class World:
    """A file backend with a state of two models, and a copy of it for one of them."""

    def __init__(self, folder: Path) -> None:
        self.backend = folder / "backend"
        checkpoint.make_backend(self.backend, "stellwerk", "x", STATE)
        self.file = checkpoint.stacks(self.backend, "stellwerk") / "x.json"
        self.locks = StackLocks(f"file://{self.backend}?metadata=skip", "stellwerk", "x")
        made = Copy.make(SKIPS, self.file, self.locks, folder, "digits")
        assert made is not None
        self.copy = made

    def write(self, file: Path, model: str, content: str) -> None:
        """Have the model's resources say something else, as an update does."""
        state = checkpoint.read(file)
        for item in state["deployment"]["resources"]:
            if item["urn"].endswith(f"::{model}"):
                item["outputs"] = {"content": content}
        file.write_bytes(checkpoint.content(state, "stellwerk", "x"))
        os.utime(file, ns=(0, 0))

    def lock(self, pid: int) -> None:
        """Leave a lock as the engine writes it."""
        folder = self.backend / ".pulumi" / "locks" / "organization" / "stellwerk" / "x"
        folder.mkdir(parents=True, exist_ok=True)
        said = {"pid": pid, "username": "somebody", "hostname": os.uname().nodename}
        (folder / "lock.json").write_text(json.dumps(said))

    def kill(self) -> None:
        """Leave the lock of an engine that has ended."""
        ended = subprocess.Popen(["true"])
        ended.wait()
        self.lock(ended.pid)

    @property
    def contents(self) -> dict[str, Any]:
        resources = checkpoint.read(self.file)["deployment"]["resources"]
        return {item["urn"].rpartition("::")[2]: (item.get("outputs") or {}).get("content") for item in resources}

    @property
    def backups(self) -> list[Path]:
        return list((self.backend / ".pulumi" / "backups" / "stellwerk" / "x").glob("x.*.json"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_result_is_in_the_state_and_the_state_of_before_is_kept(world: World) -> None:
    before = world.file.read_bytes()
    assert world.locks.interrupted is not None, "until then a command that finds it reads the cluster"
    world.write(world.copy.place, "digits", "2")
    assert world.copy.save(begun=True) == ""
    assert (world.contents["digits"], world.contents["letters"]) == ("2", None)
    assert [file.read_bytes() for file in world.backups] == [before]
    assert world.locks.interrupted is None
    assert world.locks.all() == []


def test_what_another_update_has_done_to_another_model_stays(world: World) -> None:
    world.write(world.copy.place, "digits", "2")
    world.write(world.file, "letters", "3")
    assert world.copy.save(begun=True) == ""
    assert (world.contents["digits"], world.contents["letters"]) == ("2", "3")


def test_a_copy_that_stayed_as_it_was_changes_nothing(world: World) -> None:
    assert world.copy.save(begun=False) == ""
    assert (world.backups, world.locks.interrupted) == ([], None)


CHANGED, BUSY = "another update has changed it", "an update was killed or another one has begun"
UNREADABLE, KILLED = "the state was not saved: ", "the state was not saved, as the update was killed"
MEANWHILE: dict[str, tuple[Callable[[World], object], str]] = {
    "the same model was changed": (lambda world: world.write(world.file, "digits", "3"), CHANGED),
    "the state is not readable": (lambda world: world.file.write_text("{"), UNREADABLE),
    "the copy is not readable": (lambda world: world.copy.place.write_text("{"), UNREADABLE),
    "the state cannot be written": (lambda world: world.file.parents[2].joinpath("backups").write_text(""), UNREADABLE),
    "the engine was killed": (World.kill, BUSY),
    "another engine has begun": (lambda world: world.lock(os.getppid()), BUSY),
}


@pytest.mark.parametrize("case", MEANWHILE)
def test_a_result_that_is_not_saved_leaves_the_mark(world: World, case: str) -> None:
    meanwhile, problem = MEANWHILE[case]
    world.write(world.copy.place, "digits", "2")
    meanwhile(world)
    before = world.file.read_bytes()
    assert problem in world.copy.save(begun=True)
    assert world.file.read_bytes() == before
    assert world.locks.interrupted is not None


@pytest.mark.parametrize(("begun", "locked"), [(False, True), (True, False)])
def test_a_killed_engine_that_wrote_nothing_leaves_the_mark(world: World, begun: bool, locked: bool) -> None:
    if locked:
        world.kill()
    assert world.copy.save(begun=begun) == KILLED
    assert world.locks.interrupted is not None


def _grow(file: Path, name: str, provider: str = "") -> None:
    """Have a state know one object of digits more, as an update does."""
    state = checkpoint.read(file)
    parent = next(item["urn"] for item in _resources("digits"))
    urn = f"urn:pulumi:x::stellwerk::{COMPONENT}$kubernetes:core/v1:Secret::{name}"
    more = {"urn": urn, "type": "kubernetes:core/v1:Secret", "parent": parent, "provider": provider}
    state["deployment"]["resources"].append(more)
    file.write_bytes(checkpoint.content(state, "stellwerk", "x"))
    os.utime(file, ns=(0, 0))


def test_of_a_result_that_is_not_saved_the_state_knows_what_it_had_not_known(world: World) -> None:
    """Nothing else would ever take it away."""
    _grow(world.copy.place, "digits-new")
    _grow(world.file, "digits-of-another")
    before = world.file.read_bytes()
    assert CHANGED in world.copy.save(begun=True)
    assert {"digits-new", "digits-of-another"} <= world.contents.keys()
    assert [file.read_bytes() for file in world.backups] == [before]
    assert world.locks.interrupted is not None


def test_a_state_gets_nothing_that_the_engine_would_not_take(world: World) -> None:
    _grow(world.copy.place, "digits-new", f"{STACK}::of-another-id")
    _grow(world.file, "digits-of-another")
    before = world.file.read_bytes()
    assert CHANGED in world.copy.save(begun=True)
    assert world.file.read_bytes() == before


def test_the_history_keeps_the_whole_state(world: World) -> None:
    history = world.backend / ".pulumi" / "history" / "stellwerk" / "x"
    history.mkdir(parents=True)
    world.write(world.copy.place, "digits", "2")
    for name, content in (("x-1", b"older"), ("x-2", world.copy.place.read_bytes())):
        (history / f"{name}.checkpoint.json").write_bytes(content)
    assert world.copy.save(begun=True) == ""
    kept = {file.name: file.read_bytes() for file in history.iterdir()}
    assert kept == {"x-1.checkpoint.json": b"older", "x-2.checkpoint.json": world.file.read_bytes()}


def test_a_lock_of_the_command_is_one_that_others_respect(world: World) -> None:
    with world.locks.taken() as first, world.locks.taken() as second:
        assert (first, second) == (True, False)
        assert [lock.is_dead() for lock in world.locks.all()] == [False]
        assert world.locks.break_dead() == []
    assert world.locks.all() == []


@pytest.mark.parametrize("other", [
    {"urn": "urn:stack", "type": "t"}, {"urn": "urn:b", "type": "t", "parent": "urn:gone"},
    {"urn": "urn:b", "type": "t", "dependencies": ["urn:gone"]},
])  # fmt: skip
def test_resources_that_do_not_fit_are_not_put_together(other: dict[str, Any]) -> None:
    made = {"version": 3, "deployment": {"resources": [{"urn": "urn:stack", "type": "t"}]}}
    assert whole(made, [other]) is None
    assert whole(made, [{"urn": "urn:b", "type": "t", "parent": "urn:stack"}]) is not None


def test_a_state_that_is_broken_already_is_not_taken_apart(world: World, tmp_path: Path) -> None:
    state = checkpoint.read(world.file)
    state["deployment"]["resources"].append({"urn": "urn:b", "type": "t", "parent": _resources("words")[0]["urn"]})
    state["deployment"]["resources"] += _resources("words")[1:]
    assert _is_not_copied(world, state, tmp_path)


def test_a_state_with_operations_of_an_unknown_end_is_not_taken_apart(world: World, tmp_path: Path) -> None:
    state = checkpoint.read(world.file)
    state["deployment"]["pending_operations"] = [{"type": "creating", "resource": _resources("letters")[1]}]
    assert _is_not_copied(world, state, tmp_path)


def _is_not_copied(world: World, state: dict[str, Any], folder: Path) -> bool:
    world.file.write_bytes(checkpoint.content(state, "stellwerk", "x"))
    world.locks.settle()
    made = Copy.make(SKIPS, world.file, world.locks, folder / "another", "digits")
    return made is None and world.locks.interrupted is None


@pytest.mark.parametrize(
    ("skips", "file", "safe"),
    [("true", "x.json", True), ("true", "x.json.gz", False), ("false", "x.json", False)],
)
def test_only_a_target_that_may_lose_an_update_works_in_a_copy(skips: str, file: str, safe: bool) -> None:
    assert is_safe({PULUMI_SKIP_CHECKPOINTS: skips}, Path(file)) is safe
