"""An engine that only remembers: it knows stacks and secrets, and serves what the files point at."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from delivery.clients.engine import KEY, Engine, Update
from delivery.clients.part import Part
from delivery.clients.plan import Plan, Step, parse
from delivery.clock import Clock
from delivery.errors import DeliveryError
from tests.support.checkout import MODEL, Checkout, config
from tests.support.documents import yaml

COMPONENT, SERVICE = "stellwerk:index:InferenceService", "serving.kserve.io/v1beta1:InferenceService"


class FakeEngine(Engine):
    """Stands in for the pulumi command; what it was asked, and what it has applied, can be read afterwards."""

    def __init__(self, checkout: Checkout, variables: Mapping[str, str], clock: Clock) -> None:
        super().__init__(checkout.root, variables, clock)
        self.checkout = checkout
        self.known: set[str] = set()
        self.secrets: dict[str, str] = {}
        # What `pulumi stack output` says; None: what is applied.
        self.stack_outputs: dict[str, Any] | None = None
        self.serving: dict[str, str | None] = {}
        # What `up`, `preview` and `refresh` do in turn: True when nothing is said.
        self.results: dict[str, list[bool]] = {}
        # What happens in place of an update or before a preview.
        self.instead_of_update: Callable[[str, Callable[[], bool] | None], Update | None] | None = None
        self.before_preview: Callable[[], object] | None = None
        # Whether the stack file can no longer be written by the engine.
        self.full = False
        self.commands: list[tuple[str, ...]] = []
        self.shown: list[tuple[str, bytes]] = []
        self.previewed: list[bytes] = []
        # Releases by model in each stack's state, the updates newest first, and other resources that would change.
        self.applied: dict[str, dict[str, str | None]] = {}
        self.updates: list[dict[str, Any]] = []
        self.drifted: dict[str, tuple[str, ...]] = {}
        self.refreshed: list[tuple[str, ...]] = []
        # To which part of the stack each preview and update was confined.
        self.parts: list[Part | None] = []
        # The events that a preview reads; None: what is applied, and what the given text names.
        self.recorded: str | None = None
        # Called with the text and the folder of documents that a preview is given.
        self.looked: Callable[[str, Path | None], object] | None = None

    def run(self, *arguments: str, stdin: str | None = None, variables: Mapping[str, str] | None = None) -> str:
        self.commands.append(arguments)
        match arguments:
            case ("stack", "ls", "--json"):
                return json.dumps([{"name": name} for name in sorted(self.known)])
            case ("stack", "init", name, "--no-select", *_):
                self.known.add(name)
            case ("stack", "output", "--stack", name, "--json"):
                known = self.stack_outputs
                return json.dumps({"models": self.applied_in(name)} if known is None else known)
            case ("stack", "export", "--stack", name):
                held = plan(self.applied_in(name), self.applied_in(name))
                return json.dumps(exported(held, self.stack_outputs))
            case ("stack", "history", "--stack", name, *_):
                return json.dumps([entry for entry in self.updates if entry["stack"] == name])
            case ("config", "get", key, "--stack", name) if key == KEY:
                if name not in self.secrets:
                    raise DeliveryError(f"configuration key not found for stack {name}")
                return self.secrets[name]
            case ("config", "set", key, "--secret", "--stack", name) if key == KEY:
                assert stdin is not None
                if self.full:
                    raise DeliveryError("no space left")
                self._encrypt(name, stdin)
            case ("cancel", "--stack", name, "--yes"):
                pass
            case _:
                raise AssertionError(f"pulumi {' '.join(arguments)}: not expected")
        return ""

    def _encrypt(self, name: str, text: str) -> None:
        self.secrets[name] = text
        document = yaml().load(self.checkout.file(name))
        document["config"][KEY] = {"secure": f"v1:{hash(text):x}:AAAA/BBBB+CCCC=="}
        yaml().dump(document, self.checkout.file(name))

    def preview(
        self, environment: str, text: str, *, shown: bool, part: Part | None = None, documents: Path | None = None
    ) -> Plan:
        self.parts.append(part)
        if self.before_preview:
            self.before_preview()
        if shown:
            self.shown.append(("preview", self.checkout.text(environment)))
            self.previewed.append(text.encode())
        if not self._result("preview"):
            raise DeliveryError(f"the preview of {environment} failed, see above; nothing was changed")
        if self.looked:
            self.looked(text, documents)
        if self.recorded is not None:
            return parse(self.recorded)
        return plan(self.applied_in(environment), models(text), self.drifted.get(environment, ()))

    def update(
        self,
        environment: str,
        text: str,
        stop: Callable[[], bool] | None = None,
        seconds: float | None = None,
        part: Part | None = None,
    ) -> Update:
        self.parts.append(part)
        if self.instead_of_update and (done := self.instead_of_update(environment, stop)) is not None:
            return done
        self.shown.append(("up", self.checkout.text(environment)))
        begun = bool(plan(self.applied_in(environment), models(text)).changes)
        succeeded = self._result("up")
        # One that fails has got as far as the model's own object.
        self.applied[environment] = models(text)
        if succeeded:
            self.serving[environment] = self.applied[environment].get(MODEL)
            self.updates.insert(0, history(environment, self.applied[environment]))
        return Update(succeeded, begun)

    def refresh(self, environment: str, urns: Sequence[str], killed: str | None = None) -> bool:
        self.refreshed.append((environment, *urns))
        return self._result("refresh")

    def _result(self, command: str) -> bool:
        results = self.results.get(command)
        return results.pop(0) if results else True

    def applied_in(self, environment: str) -> dict[str, str | None]:
        """Return what the stack's state holds; as long as nothing else is said what the file names."""
        if environment not in self.applied:
            self.applied[environment] = models(self.checkout.file(environment).read_text())
        return self.applied[environment]

    @property
    def changes(self) -> list[str]:
        """The commands that change something."""
        return [command for command, _ in self.shown if command != "preview"]


def models(text: str) -> dict[str, str | None]:
    """Return the releases that a stack file names, by model."""
    return {name: model.get("release") for name, model in (config(text)["models"] or {}).items()}


def history(stack: str, held: Mapping[str, str | None], **more: Any) -> dict[str, Any]:
    """Return an update as `pulumi stack history --json` says it."""
    values = {"stellwerk:models": {"objectValue": {name: {"release": release} for name, release in held.items()}}}
    return {"stack": stack, "kind": "update", "result": "succeeded", "config": values, **more}


def exported(held: Plan, outputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a state as the engine exports it: of a stack with these outputs, and these resources."""
    stack = {"urn": "urn:pulumi:x::stellwerk::pulumi:pulumi:Stack::stellwerk-x", "type": "pulumi:pulumi:Stack"}
    resources = [
        {"urn": step.urn, "type": step.type, "id": step.id, "parent": held.parents.get(step.urn, "")}
        for step in held.steps
    ]
    return {"version": 3, "deployment": {"resources": [{**stack, "outputs": outputs or {}}, *resources]}}


def plan(applied: Mapping[str, str | None], wanted: Mapping[str, str | None], drifted: Iterable[str] = ()) -> Plan:
    """Return what the engine would do: each model is a component with one object below it."""
    steps, parents = [], {}
    for name in sorted({*applied, *wanted}):
        old, new = applied.get(name), wanted.get(name)
        if old is None and new is None:
            continue
        op = "same" if old == new else "create" if old is None else "delete" if new is None else "update"
        component = f"urn:pulumi:x::stellwerk::{COMPONENT}::{name}"
        child = f"urn:pulumi:x::stellwerk::{COMPONENT}$kubernetes:{SERVICE}::{name}"
        parents[child] = component
        steps.append(Step(child, op, f"kubernetes:{SERVICE}", f"x-serving/{name}", old is not None, f"{old} {new}"))
    for name in drifted:
        urn = f"urn:pulumi:x::stellwerk::kubernetes:core/v1:ConfigMap::{name}"
        steps.append(Step(urn, "update", "kubernetes:core/v1:ConfigMap", f"x/{name}", True, name))
    return Plan(tuple(steps), parents)


def passed_release(release: str) -> Any:
    """Return as much of a release as a promotion looks at: its id, its size, and that it has missed no gate."""
    artefact = SimpleNamespace(format="onnx", size=1, total_size=1, files=())
    evaluation = SimpleNamespace(gates=[])
    return SimpleNamespace(metadata=SimpleNamespace(release=release), artefact=artefact, evaluation=evaluation)
