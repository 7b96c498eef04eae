"""What an update would do, from the engine's own events; and whose resources that are."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

# In the state once a program asks the engine something.
OWN_PROVIDER = "pulumi:providers:pulumi"
_STACK = "pulumi:pulumi:Stack"
_ENGINE = (_STACK, OWN_PROVIDER)
_MODEL = "stellwerk:index:InferenceService"
# Steps that change nothing.
_QUIET = ("same", "read", "read-replacement", "read-discard", "refresh")
_NAMED = 8
# What the engine writes for a value that only the update will know.
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True)
class Step:
    """What happens to one resource; `content` says which values change, and to what, without being readable.

    `declared` are namespace and name of the Kubernetes object that the program declares, as far as it says them.
    `paths` name the properties that change, those that force a replacement alone where there are such. `inputs` is what
    the program declares of it, secret values masked; empty for what is deleted.
    """

    urn: str
    op: str
    type: str
    id: str
    exists: bool
    content: str
    declared: tuple[str | None, str] | None = None
    paths: tuple[str, ...] = ()
    is_component: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]

    @property
    def changes(self) -> bool:
        """Whether something is created, updated, replaced or deleted."""
        return self.op not in _QUIET


@dataclass(frozen=True)
class Plan:
    """The steps of an update in the engine's order, each resource's parent, the stack's outputs before and after."""

    steps: tuple[Step, ...]
    parents: Mapping[str, str]
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> list[Step]:
        """The steps that change a resource; what is the engine's own is none."""
        return [step for step in self.steps if step.changes and step.type not in _ENGINE]

    @property
    def digest(self) -> str:
        """Equal for two plans that do the same, in whatever order."""
        lines = sorted((step.urn, step.op, step.content) for step in self.changes)
        return sha256(json.dumps(lines).encode()).hexdigest()

    def of(self, model: str) -> list[Step]:
        """Return the steps of a model's own resources: its InferenceService component and what descends from it."""
        return [step for step in self.steps if self.model(step.urn) == model]

    def of_others(self, model: str) -> list[Step]:
        """Return the steps of all other models' resources."""
        return [step for step in self.steps if self.model(step.urn) not in (None, model)]

    def others(self, model: str) -> list[Step]:
        """Return the changes to anything but the model's own resources."""
        own = {step.urn for step in self.of(model)}
        return [step for step in self.changes if step.urn not in own]

    def model(self, urn: str) -> str | None:
        """Return the model that a resource belongs to."""
        return next((member.rpartition("::")[2] for member in self._line(urn) if _type(member) == _MODEL), None)

    def _line(self, urn: str) -> Iterator[str]:
        """Yield the resource and all it descends from."""
        seen = set()
        while urn and urn not in seen:
            seen.add(urn)
            yield urn
            urn = self.parents.get(urn, "")


def parse(text: str) -> Plan:
    """Return the plan in an event log of the engine, one JSON event a line."""
    steps, parents = [], {}
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}
    for line in text.splitlines():
        event: dict[str, Any] = json.loads(line)
        if (begins := (event.get("resourcePreEvent") or {}).get("metadata")) is not None:
            parents[begins["urn"]] = _parent(begins)
            steps.append(_step(begins))
        ends = (event.get("resOutputsEvent") or {}).get("metadata") or {}
        if ends.get("type") == _STACK:
            # The last such event counts: until the program has ended, its outputs are those of before.
            before, after = ((ends.get(side) or {}).get("outputs") or {} for side in ("old", "new"))
    return Plan(tuple(steps), parents, before, after)


def _parent(metadata: Mapping[str, Any]) -> str:
    parents = ((metadata.get(side) or {}).get("parent") for side in ("new", "old"))
    return next(filter(None, parents), "")


def _step(metadata: Mapping[str, Any]) -> Step:
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    identity = old.get("id") or ""
    return Step(
        metadata["urn"],
        metadata["op"],
        metadata["type"],
        identity,
        bool(identity),
        _content(metadata),
        _declared(new.get("inputs") or {}),
        _paths(metadata),
        is_component=not (new or old).get("custom", False),
        inputs=new.get("inputs") or {},
    )


def failures(text: str) -> list[str]:
    """Return why a preview failed, from its event log: each error with the resource that it is about."""
    reasons = []
    for line in text.splitlines():
        said = json.loads(line).get("diagnosticEvent") or {}
        if said.get("severity") == "error":
            urn = said.get("urn") or ""
            about = f"{_type(urn).rpartition(':')[2]} {urn.rpartition('::')[2]}: " if urn else ""
            reasons.append(about + said["message"].strip())
    return reasons


def stored(document: Mapping[str, Any]) -> Plan:
    """Return the resources in a stack's exported state, as a plan that changes none of them."""
    resources = (document.get("deployment") or {}).get("resources") or []
    steps = tuple(
        Step(item["urn"], "same", item["type"], item.get("id", ""), bool(item.get("id")), "") for item in resources
    )
    return Plan(steps, {item["urn"]: item.get("parent", "") for item in resources})


def summary(steps: list[Step]) -> str:
    """Return the changes as a message names them; a replacement is named once."""
    named = {step.urn: step for step in steps}
    words = [f"{_type(urn).rpartition(':')[2]} {step.name}{_verb(step.op)}" for urn, step in named.items()]
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _paths(step: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the properties that change, without their values."""
    return tuple(sorted(step.get("keys") or step.get("detailedDiff") or step.get("diffs") or ()))


def _content(step: Mapping[str, Any]) -> str:
    """Return a digest: the engine masks secret values, and what remains is not for messages either."""
    inputs = (step.get("new") or {}).get("inputs")
    parts = [step.get("diffs"), step.get("detailedDiff"), step.get("keys"), inputs]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _declared(inputs: Mapping[str, Any]) -> tuple[str | None, str] | None:
    """Return namespace and name of an object from its inputs; a namespace that is not known yet is None."""
    metadata = inputs.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("name") in (None, _UNKNOWN):
        return None
    namespace = metadata.get("namespace", "")
    return None if namespace == _UNKNOWN else str(namespace), str(metadata["name"])


def _type(urn: str) -> str:
    """Return the resource's type, without those of its parents."""
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 3 else ""


def _verb(op: str) -> str:
    return "" if op in _QUIET else " (replace)" if "replace" in op else f" ({op})"
