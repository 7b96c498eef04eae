"""The part of a stack that a move of one model needs: the time of the move does not grow with the other models.

The engine reads, compares and reports each resource of a state, so the preview is made in a copy of the state without
the other models. The update has to be made in the state itself; there the engine touches its targets and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.clients import checkpoint
from delivery.clients.plan import OWN_PROVIDER, stored
from delivery.errors import system_errors
from infra.targets.variables import MOVE, PULUMI_BACKEND_URL


@dataclass(frozen=True)
class Part:
    """One model and what it stands on: the state that its preview knows of, the URNs that its update may touch.

    `others` are the resources that are left out.
    """

    model: str
    state: Mapping[str, Any]
    targets: tuple[str, ...] = ()
    others: tuple[Mapping[str, Any], ...] = ()

    @property
    def resources(self) -> Sequence[Mapping[str, Any]]:
        """The resources that are not left out."""
        resources: Sequence[Mapping[str, Any]] = self.state["deployment"]["resources"]
        return resources

    def preview_variables(self, folder: Path, project: str, stack: str) -> dict[str, str]:
        """Return the variables of a preview in a backend that is made in `folder`: there is nothing else to touch."""
        backend = folder / "backend"
        checkpoint.make_backend(backend, project, stack, self._previewed())
        return {PULUMI_BACKEND_URL: f"file://{backend}", **self._move(folder)}

    def update(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Return the arguments and the variables of an update, which belong together.

        Raise ValueError without targets: the engine would take everything for a target, and delete the other models.
        """
        if not self.targets:
            raise ValueError(f"the update of {self.model} has no target")
        return [argument for urn in self.targets for argument in ("--target", urn)], self._move(folder)

    def _previewed(self) -> dict[str, Any]:
        """Return the state without the engine's own provider, unless something needs it.

        Not every program that moves a model asks the engine something: the preview would say that the provider goes.
        """
        needed = {urn for item in self.resources for urn in _needs(item)}
        kept = [item for item in self.resources if item["type"] != OWN_PROVIDER or item["urn"] in needed]
        return {**self.state, "deployment": {**self.state["deployment"], "resources": kept}}

    def _move(self, folder: Path) -> dict[str, str]:
        file = folder / "move"
        with system_errors("writing the name of the model", "make the folder writable"):
            file.write_text(self.model, encoding="utf-8")
        return {MOVE: str(file)}


def part(state: Mapping[str, Any], model: str) -> Part | None:
    """Return the part of a state that a move of the model needs.

    None where there are no other models, or where something of the rest needs one.
    """
    others = {step.urn for step in stored(state).of_others(model)}
    deployment = state.get("deployment") or {}
    kept: list[Mapping[str, Any]] = []
    left: list[Mapping[str, Any]] = []
    for item in deployment.get("resources") or []:
        (left if item["urn"] in others else kept).append(item)
    if not others or others & {urn for item in kept for urn in _needs(item)}:
        return None
    return Part(model, {**state, "deployment": {**deployment, "resources": kept}}, others=tuple(left))


def whole(made: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the state of a part with the others behind it; None where that is not one which the engine takes."""
    own = made["deployment"].get("resources") or []
    if {item["urn"] for item in own} & {item["urn"] for item in others}:
        return None
    return _joined(made, own, others)


def with_new(state: Mapping[str, Any], made: Mapping[str, Any], model: str) -> dict[str, Any] | None:
    """Return a state with what a part made of an older one has of the model and the state does not know.

    None where there is no such thing, or where the engine would not take the state.
    """
    known = state["deployment"].get("resources") or []
    urns = {item["urn"] for item in known}
    own = {step.urn for step in stored(made).of(model)} - urns
    new = [item for item in made["deployment"].get("resources") or [] if item["urn"] in own]
    return _joined(state, known, new) if new else None


def _joined(
    state: Mapping[str, Any], first: Sequence[Mapping[str, Any]], then: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the state with these resources; None where one of the second needs what is not there."""
    resources = [*first, *then]
    known = {urn for item in resources for urn in (item["urn"], f"{item['urn']}::{item.get('id', '')}")}
    needed = {urn for item in then for urn in (item.get("parent") or "", item.get("provider") or "", *_needs(item))}
    return {**state, "deployment": {**state["deployment"], "resources": resources}} if needed <= known | {""} else None


def _needs(resource: Mapping[str, Any]) -> Iterator[str]:
    """Yield the URNs without which the engine does not take a resource."""
    yield resource.get("deletedWith") or ""
    yield (resource.get("provider") or "").rpartition("::")[0]
    yield from resource.get("dependencies") or ()
    for urns in (resource.get("propertyDependencies") or {}).values():
        yield from urns or ()
