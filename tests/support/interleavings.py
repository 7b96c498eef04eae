"""A backend with two people at it, whose steps come in an order that a seed says.

The command's own code runs, with its real file lock; the engine below it only remembers. Of the actors' threads one
at a time goes a step further, so a failing order can be run again.
"""

import json
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from rich.console import Console

from delivery.clients.backend import Backend
from delivery.clients.endpoint import RELEASE_HEADER, Endpoint
from delivery.clients.engine import Engine, Update
from delivery.clients.part import Part
from delivery.clients.plan import Plan
from delivery.clock import Clock
from delivery.errors import DeliveryError
from delivery.operations.draft import How
from delivery.operations.promote import promote, rollback
from delivery.project import Pointers, Project
from tests.support.engine import exported, passed_release, plan
from tests.support.session import FakeCluster, FakeSession, Words
from tests.support.turns import Turns

ENVIRONMENT = "dev"
MODELS = ("a", "b")
RELEASES = ("v1", "v2", "v3")
ACTIONS, _SETTINGS = 4, {"test_set": None, "resources": SimpleNamespace(memory="1Gi"), "node_pool": None, "gpu": None}


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

    def path(self) -> Path:
        return self.file(self.checkouts[self.actor])

    def read(self) -> dict[str, list[str | None]]:
        changed: dict[str, list[str | None]] = json.loads(self.path().read_text())
        return changed

    # What the command asks of the stack file.

    def write(self, text: str) -> None:
        before, after = self.read(), json.loads(text)
        touched = {model for model in MODELS if before[model] != after[model]}
        assert touched <= {self.moving[self.actor]}, f"{self.actor} wrote the pointer of {touched}"
        self.path().write_text(text)
        self.note(f"wrote {after}")

    # What it asks of the engine.

    def preview(self, text: str) -> Plan:
        self.turns.step()
        changed = plan(self.state, self.wanted(text))
        self.turns.step()
        self.previewed[self.actor] = changed.digest
        return changed

    def update(self, text: str, *, doomed: bool) -> Update:
        self.turns.step()
        if self.holder:
            self.note("met a lock")
            return Update(False, False)
        self.holder = self.actor
        changed = plan(self.state, self.wanted(text))
        begun = bool(changed.changes)
        if begun:
            assert changed.digest == self.previewed[self.actor], f"{self.actor} applied what it did not preview"
            assert not changed.others(self.moving[self.actor]), f"{self.actor} changed another model"
        doom = self.doomed.pop(self.actor, None) if doomed else None
        self.turns.step()
        if doom != "early":
            self.apply(text)
        self.turns.step()
        self.holder = None
        return Update(doom is None, begun)

    def apply(self, text: str) -> None:
        self.state = self.wanted(text)
        self.version += 1
        self.note(f"applied {self.state}")

    def wanted(self, text: str) -> dict[str, str | None]:
        return {model: pointer[0] for model, pointer in json.loads(text).items()}

    def wait(self) -> None:
        while self.holder:
            self.turns.step()

    def respond(self, model: str) -> httpx.Response:
        release = self.state.get(model)
        if release is None or (model, release) in self.broken:
            return httpx.Response(503)
        return httpx.Response(200, headers={RELEASE_HEADER: release})

    def confirm(self, _: str) -> bool:
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
        self._do(
            model, f"promote {release}", lambda session, how: promote(session, model, ENVIRONMENT, None, release, how)
        )

    def _rollback(self) -> None:
        model = self.turns.random.choice(MODELS)
        self._do(model, "rollback", lambda session, how: rollback(session, model, ENVIRONMENT, how))

    def _do(self, model: str, what: str, run: Callable[[FakeSession, How], None]) -> None:
        self.moving[self.actor] = model
        self.note(f"{what} of {model}")
        yes = self.turns.random.random() < 0.5
        console = Words().console
        try:
            run(_Session(self), How(yes, 8, console, self.confirm))
        except DeliveryError as error:
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


class _Clock(Clock):
    """Time passes with the turns."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def monotonic(self) -> float:
        return self.turns.now

    def sleep(self, seconds: float) -> None:
        self.turns.step(seconds)


class _Project(Project):
    """The actor's checkout, whose file is JSON: model to pointers."""

    environments = (ENVIRONMENT,)
    source, environment = staticmethod(lambda _: None), staticmethod(lambda _: SimpleNamespace(section=lambda _: ()))

    def __init__(self, world: World) -> None:
        super().__init__(world.folder)
        object.__setattr__(self, "world", world)

    def text(self, environment: str) -> str:
        return str(self.world.path().read_text())

    def write(self, environment: str, text: str) -> None:
        self.world.write(text)

    def model(self, environment: str, model: str) -> Any:
        return SimpleNamespace(**vars(Pointers(*self.world.read()[model])), **_SETTINGS)

    def point(self, environment: str, model: str, pointers: Pointers) -> str:
        return json.dumps({**self.world.read(), model: [pointers.release, pointers.previous]})

    @property
    def releases(self) -> Any:
        return SimpleNamespace(load=lambda _, release: passed_release(release))


class _Engine(Engine):
    """The engine that both actors share."""

    def __init__(self, world: World) -> None:
        super().__init__(world.folder, {"PULUMI_BACKEND_URL": f"file://{world.folder}"}, _Clock(world.turns))
        object.__setattr__(self, "world", world)

    def preview(self, environment: str, text: str, *, shown: bool, part: Part | None = None) -> Plan:
        return self.world.preview(text)

    def update(
        self,
        environment: str,
        text: str,
        stop: Callable[[], bool] | None = None,
        seconds: float | None = None,
        part: Part | None = None,
    ) -> Update:
        return self.world.update(text, doomed=stop is not None)

    def export(self, stack: str) -> dict[str, Any]:
        return exported(plan(self.world.state, self.world.state), None)

    def refresh(self, environment: str, urns: Sequence[str]) -> bool:
        self.world.turns.step()
        return True

    def outputs(self, environment: str) -> dict[str, Any]:
        return {"models": dict(self.world.state)}


class _Backend(Backend):
    """The command's own lock is the real one; the engine's is the world's."""

    def state(self, environment: str) -> object:
        return self.engine.world.version

    def holder(self, environment: str) -> str | None:
        return self.engine.world.holder

    def wait(self, environment: str, console: Console) -> None:
        self.engine.world.wait()


class _Session(FakeSession):
    """What one command of an actor works with."""

    def __init__(self, world: World) -> None:
        engine = _Engine(world)
        super().__init__(_Project(world), engine, _Backend(engine), FakeCluster())
        self.world = world

    def endpoint(self, environment: str, model: str) -> Endpoint:
        return _Target(self.world, model)


class _Target(Endpoint):
    def __init__(self, world: World, model: str) -> None:
        super().__init__(f"https://gateway.test/{model}", _TRUST)
        object.__setattr__(self, "respond", lambda _: world.respond(model))

    def client(self, timeout: float = 30) -> httpx.Client:
        transport = httpx.MockTransport(self.respond)
        return httpx.Client(transport=transport, verify=self.trust, trust_env=False)


_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
