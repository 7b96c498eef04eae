"""Two people promote, roll back, run plain `pulumi up` and think better of it, in 200 orders of their steps.

The command's own code runs, with its real file lock; the engine below it only remembers. Each actor is a thread, of
which one at a time goes a step further, as a seed says, so a failing order can be run again.
"""

import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console

from delivery import stackfile
from delivery.clients import engine
from delivery.errors import DeliveryError
from delivery.operations import accepted, pods, promote
from delivery.operations.plan import Plan
from tests.delivery.conftest import Words, plan

ENVIRONMENT = "dev"
MODELS = ("a", "b")
RELEASES = ("v1", "v2", "v3")
ACTIONS = 4
SEEDS = 200


class Turns:
    """Lets one of several threads run at a time, and changes between them where they ask for it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self._own: dict[str, threading.Semaphore] = {}
        self._main = threading.Semaphore(0)
        self._ended: set[str] = set()
        self.now = 0.0
        self.errors: list[BaseException] = []

    def run(self, actors: dict[str, Callable[[], None]]) -> None:
        self._own = {name: threading.Semaphore(0) for name in actors}
        threads = [threading.Thread(target=self._one, args=(*item,), name=item[0]) for item in actors.items()]
        for thread in threads:
            thread.start()
        while waiting := sorted(self._own.keys() - self._ended):
            self._own[self.random.choice(waiting)].release()
            self._main.acquire()
        for thread in threads:
            thread.join()

    def _one(self, name: str, work: Callable[[], None]) -> None:
        self._own[name].acquire()
        try:
            work()
        except BaseException as error:
            self.errors.append(error)
        self._ended.add(name)
        self._main.release()

    def step(self, seconds: float = 0.1) -> None:
        """The other one may go on now; when one has failed the other does not wait for it for ever."""
        self.now += seconds
        if self.errors:
            raise AssertionError("the other one has failed")
        self._main.release()
        self._own[threading.current_thread().name].acquire()


@dataclass
class World:
    """A backend with one stack, the checkouts that use it, and what ought to be in their files."""

    turns: Turns
    folder: Path
    checkouts: dict[str, str]
    state: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(MODELS))
    version: int = 0
    holder: str | None = None
    doomed: dict[str, str] = field(default_factory=dict)
    broken: set[tuple[str, str | None]] = field(default_factory=set)
    expected: dict[str, dict[str, list[str | None]]] = field(default_factory=dict)
    previewed: dict[str, str] = field(default_factory=dict)
    moving: dict[str, str] = field(default_factory=dict)
    foreign_ups: int = 0
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for checkout in set(self.checkouts.values()):
            self.expected[checkout] = {model: [None, None] for model in MODELS}
            self.file(checkout).write_text(json.dumps(self.expected[checkout]))

    @property
    def actor(self) -> str:
        return threading.current_thread().name

    def file(self, checkout: str) -> Path:
        return self.folder / f"{checkout}.json"

    def path(self, _: str = "") -> Path:
        return self.file(self.checkouts[self.actor])

    def read(self) -> dict[str, list[str | None]]:
        found: dict[str, list[str | None]] = json.loads(self.path().read_text())
        return found

    # What the command asks of the stack file.

    def point(self, _: str, model: str, release: str | None, previous: str | None) -> str:
        return json.dumps({**self.read(), model: [release, previous]})

    def pointers(self, _: str, model: str) -> Any:
        release, previous = self.read()[model]
        return SimpleNamespace(release=release, previous=previous)

    def write(self, _: str, text: str) -> None:
        before, after = self.read(), json.loads(text)
        touched = {model for model in MODELS if before[model] != after[model]}
        assert touched <= {self.moving[self.actor]}, f"{self.actor} wrote the pointer of {touched}"
        self.path().write_text(text)
        self.note(f"wrote {after}")

    # What it asks of the engine.

    def preview(self, _: str, text: str, *, shown: bool) -> Plan:
        self.turns.step()
        found = plan(self.state, self.wanted(text))
        self.turns.step()
        self.previewed[self.actor] = found.digest
        return found

    def update(self, _: str, text: str, stop: Callable[[], bool] | None = None, *__: float) -> engine.Update:
        self.turns.step()
        if self.holder:
            self.note("met a lock")
            return engine.Update(False, False)
        self.holder = self.actor
        found = plan(self.state, self.wanted(text))
        begun = bool(found.changes)
        if begun:
            assert found.digest == self.previewed[self.actor], f"{self.actor} applied what it did not preview"
            assert not found.others(self.moving[self.actor]), f"{self.actor} changed another model"
        doom = self.doomed.pop(self.actor, None) if stop else None
        self.turns.step()
        if doom != "early":
            self.apply(text)
        self.turns.step()
        self.holder = None
        return engine.Update(doom is None, begun)

    def apply(self, text: str) -> None:
        self.state = self.wanted(text)
        self.version += 1
        self.note(f"applied {self.state}")

    def wanted(self, text: str) -> dict[str, str | None]:
        return {model: pointer[0] for model, pointer in json.loads(text).items()}

    def wait_for_lock(self, *_: object) -> None:
        while self.holder:
            self.turns.step()

    def answering(self, model: str, _: object) -> str | None:
        release = self.state.get(model)
        return None if (model, release) in self.broken else release

    def confirm(self, *_: object, **__: object) -> bool:
        for _turn in range(self.turns.random.randrange(6)):
            self.turns.step()
        return self.turns.random.random() < 0.6

    def note(self, what: str) -> None:
        self.log.append(f"{self.actor}: {what}")

    # What an actor does.

    def act(self) -> None:
        for _ in range(ACTIONS):
            self.turns.random.choice([self._promote, self._promote, self._rollback, self._up])()
            self.turns.step()

    def _promote(self) -> None:
        model, release = self.turns.random.choice(MODELS), self.turns.random.choice(RELEASES)
        fate = self.turns.random.choice([None, None, None, "early", "late", "silent"])
        if fate in ("early", "late"):
            self.doomed[self.actor] = fate
        if fate == "silent":
            self.broken.add((model, release))
        else:
            self.broken.discard((model, release))
        self._do(model, f"promote {release}", lambda how: promote.promote(model, ENVIRONMENT, None, release, how))

    def _rollback(self) -> None:
        model = self.turns.random.choice(MODELS)
        self._do(model, "rollback", lambda how: promote.rollback(model, ENVIRONMENT, how))

    def _do(self, model: str, what: str, run: Callable[[promote.How], None]) -> None:
        self.moving[self.actor] = model
        self.note(f"{what} of {model}")
        yes = self.turns.random.random() < 0.5
        console = Words().console
        try:
            run(promote.How(yes, 20, console))
        except (DeliveryError, typer.Abort) as error:
            self.note(f"refused: {error}")
        else:
            checkout = self.checkouts[self.actor]
            # Still under its own turn: nobody has moved since.
            self.expected[checkout][model] = self.read()[model]
            self.note(f"done: {self.expected[checkout]}")
        self.doomed.pop(self.actor, None)

    def _up(self) -> None:
        """Plain `pulumi up`: its file as it is, under the engine's lock alone."""
        if self.holder:
            self.note("up: met a lock")
            return
        self.holder = self.actor
        text = self.path().read_text()
        self.note("up")
        self.foreign_ups += 1
        self.turns.step()
        self.apply(text)
        self.turns.step()
        self.holder = None


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], World]]:
    """Makes the world of a seed, with one or two checkouts."""
    current: list[World] = []

    def use(target: Any, name: str, found: Callable[[World], Any]) -> None:
        monkeypatch.setattr(target, name, lambda *given, **more: found(current[-1])(*given, **more))

    for name in ("point", "write", "path"):
        use(stackfile, name, lambda world, name=name: getattr(world, name))
    for name in ("preview", "update", "wait_for_lock"):
        use(engine, name, lambda world, name=name: getattr(world, name))
    for module in (promote, accepted):
        use(module, "pointers", lambda world: world.pointers)
    monkeypatch.setattr(engine, "resources", lambda _: plan(current[-1].state, current[-1].state))
    monkeypatch.setattr(engine, "refresh", lambda *_: current[-1].turns.step() or True)
    monkeypatch.setattr(engine, "state", lambda _: current[-1].version)
    monkeypatch.setattr(engine, "lock_holder", lambda _: current[-1].holder)
    monkeypatch.setattr(engine, "outputs", lambda _: {"models": dict(current[-1].state)})
    monkeypatch.setattr(promote, "endpoint", lambda _, model: _Target(model))
    monkeypatch.setattr(promote, "answering_release", lambda target, _: current[-1].answering(target.model, None))
    use(promote.typer, "confirm", lambda world: world.confirm)
    passed = SimpleNamespace(evaluation=SimpleNamespace(gates=[]))
    monkeypatch.setattr(promote, "RELEASES", SimpleNamespace(load=lambda *_: passed))
    monkeypatch.setattr(promote.kube, "require", lambda _: None)
    monkeypatch.setattr(promote.kube, "missing", lambda *_: [])
    monkeypatch.setattr(pods, "troubles", lambda *_: [])
    time = SimpleNamespace(
        monotonic=lambda: current[-1].turns.now, sleep=lambda seconds: current[-1].turns.step(seconds)
    )
    for module in (promote, engine, pods):
        monkeypatch.setattr(module, "time", time)

    def make(seed: int, checkouts: int) -> World:
        folder = tmp_path / f"{seed}-{checkouts}"
        folder.mkdir()
        monkeypatch.setattr(engine, "surroundings", lambda: {"PULUMI_BACKEND_URL": f"file://{folder}"})
        current.append(World(Turns(seed), folder, {"anna": "one", "ben": "one" if checkouts == 1 else "two"}))
        return current[-1]

    return make


@dataclass(frozen=True)
class _Target:
    model: str

    def client(self, timeout: float) -> Any:
        return Console(quiet=True)


@pytest.mark.parametrize("checkouts", [1, 2])
def test_no_update_is_lost_and_no_undo_is_wrong(checkouts: int, world: Callable[[int, int], World]) -> None:
    outcomes = {"done": 0, "refused": 0}
    for seed in range(SEEDS // checkouts):
        made = world(seed, checkouts)
        made.turns.run({"anna": made.act, "ben": made.act})
        story = f"seed {seed}, {checkouts} checkouts:\n" + "\n".join(made.log)
        assert made.turns.errors == [], story
        for checkout, expected in made.expected.items():
            assert json.loads(made.file(checkout).read_text()) == expected, story
        if checkouts == 1:
            # Whoever applied last: what is applied is what the file says.
            assert made.state == {model: pointer[0] for model, pointer in expected.items()}, story
        for line in made.log:
            outcomes["done"] += ": done" in line
            outcomes["refused"] += ": refused" in line
    assert outcomes["done"] > SEEDS / 2, "hardly anything succeeded: the orders prove nothing"
    assert outcomes["refused"] > SEEDS / 2
