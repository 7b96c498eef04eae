"""`stellwerk model remove`: a model is taken out of every environment, its object store and the checkout.

Releases and evidence in git stay, and so do the artefacts that a release names and the runs of the tracking server:
what has answered once can still be traced.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from delivery import stackfile
from delivery.clients.backend import changed
from delivery.clients.plan import Plan, summary
from delivery.errors import DeliveryError, system_errors
from delivery.operations.settle import wait
from delivery.session import Session
from infra.contract import candidate
from infra.contract.model import require_name
from infra.contract.problems import suggest
from infra.contract.stacks import BASE
from infra.values import file_name


@dataclass(frozen=True)
class How:
    """Which model is removed, where progress is shown, and whether a preview may have changes of others."""

    model: str
    console: Console
    other_changes: bool = False


@dataclass(frozen=True)
class Change:
    """What happens to an environment: the text of its file, and what the engine, the cluster and the store lose.

    `base` is what environments share, which stays as it is. `plan` is None where the engine has nothing to do: in an
    environment that was never `applied`, and where neither the file nor the state names the model.
    """

    environment: str
    before: str
    after: str
    base: str | None
    applied: bool = False
    plan: Plan | None = None
    state: object = None
    jobs: Sequence[str] = ()
    objects: Sequence[str] = ()

    @property
    def is_none(self) -> bool:
        """Whether nothing is left to do."""
        return self.before == self.after and not (self.plan and self.plan.changes) and not (self.jobs or self.objects)

    @property
    def content(self) -> object:
        """What is equal as long as the same change would be made."""
        digest = self.plan.digest if self.plan else None
        return self.environment, self.before, self.after, self.base, digest, self.jobs, self.objects


@dataclass(frozen=True)
class Removal:
    """All that goes: from the environments, the last of the path first, and the model's folder with its files."""

    changes: Sequence[Change]
    folder: Path
    files: Sequence[Path]

    @property
    def is_none(self) -> bool:
        """Whether nothing of the model is left."""
        return not (self.changes or self.folder.is_dir())


def plan_removal(session: Session, how: How) -> Removal:
    """Return what the removal would do, with the engine's previews shown; change nothing.

    Raise DeliveryError for a model of which there is no trace, or that environments share, where an environment cannot
    be asked, and where a preview changes what is not the model's.
    """
    require_name(how.model)
    project = session.project
    base = project.files.base()
    if base is not None and (place := stackfile.entry_of(base, BASE, how.model)):
        raise DeliveryError(
            f"{place}: {how.model} stands here for every environment, and would come back; write it into the stack "
            "files that serve or train it, remove it here, and run the command again"
        )
    texts = {name: _texts(session, name, how.model) for name in reversed(project.environments)}
    folder = project.models.folder / how.model
    named = any(before != after for before, after, _ in texts.values())
    if not (named or folder.is_dir() or project.releases.ids(how.model)):
        known = project.models.names()
        action = suggest(how.model, known, "name one of them")
        raise DeliveryError(f"{how.model}: there is no such model; models: {', '.join(known) or 'none'}; {action}")
    applied = _applied(session, how, named=named)
    changes = []
    for name, text in texts.items():
        change = Change(name, *text)
        if name in applied:
            with session.backend.locked(name, how.console):
                change = _change(session, how, name, first=True)
        changes.append(change)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    return Removal([change for change in changes if not change.is_none], folder, files)


def _texts(session: Session, environment: str, model: str) -> tuple[str, str, str | None]:
    """Return the stack file's text of now, and without the model, and that of what environments share."""
    session.project.reload(environment)
    text = session.project.text(environment)
    return text, stackfile.without_model(text, file_name(environment), model), session.project.files.base()


def _applied(session: Session, how: How, *, named: bool) -> set[str]:
    """Return the environments that were applied; none without a backend, unless a stack file names the model."""
    try:
        stacks = session.engine.stacks()
    except DeliveryError as error:
        if named:
            raise
        how.console.print(f"no environment is asked: {error}", highlight=False, soft_wrap=True, markup=False)
        return set()
    return {name for name in stacks if session.engine.resources(name).steps}


def _change(session: Session, how: How, environment: str, *, first: bool) -> Change:
    """Return what happens to an environment that was applied.

    The `first` look is shown, and finds changes of others: what is seen to be equal later has none either.
    """
    engine = session.engine
    wait(session, environment, how.console)
    before, after, base = _texts(session, environment, how.model)
    session.kubectl(environment).require()
    # A removal that was interrupted has written the file: what is not applied yet is the removal's own.
    asked = first and before != after and not how.other_changes
    if asked and (pending := engine.preview(environment, before, shown=False).changes):
        raise DeliveryError(
            f"{environment}: this would also change what is not {how.model}'s: {summary(pending)}; nothing was "
            f"changed. This checkout and what is applied differ: run `pulumi up --stack {environment}` first; "
            "--allow-other-changes applies it all the same"
        )
    state = session.backend.state(environment)
    named = before != after or how.model in json.dumps(engine.export(environment))
    plan = engine.preview(environment, after, shown=first) if named else None
    jobs = session.jobs(environment).of(how.model)
    objects = _objects(session, environment, how.model)
    return Change(environment, before, after, base, applied=True, plan=plan, state=state, jobs=jobs, objects=objects)


def _objects(session: Session, environment: str, model: str) -> list[str]:
    """Return the keys of what the environment's store has of the model, and no release names."""
    # boto3 takes long to import.
    from delivery.clients import store

    releases = session.project.releases
    documents = [releases.load(model, release) for release in releases.ids(model)]
    needed = {item.key for document in documents for item in document.objects.values()}
    prefixes = (f"{model}/", candidate.key(model, "").removesuffix(".json"))
    with session.store(environment) as source:
        return [key for prefix in prefixes for key in store.keys(source, prefix) if key not in needed]


def remove(session: Session, how: How, removal: Removal, confirmed: Callable[[], bool]) -> None:
    """Do what was shown, the folder last; a removal that is interrupted goes on where it was.

    Raise DeliveryError with nothing changed when the answer is no; else naming what is done when an environment is not
    what it was, or when its update fails.
    """
    if not confirmed():
        raise DeliveryError("nothing was changed")
    for change in removal.changes:
        if not change.applied:
            _require_unedited(session, how, change)
            _write(session, change)
        else:
            with session.backend.locked(change.environment, how.console):
                _apply(session, how, change)
        how.console.print(f"{change.environment}: {how.model} is removed", highlight=False)
    if removal.folder.is_dir():
        name = f"{session.project.models.name}/{how.model}"
        aside = tempfile.TemporaryDirectory(prefix=".", dir=removal.folder.parent)
        # In one step: what cannot be deleted of it is no half of a model.
        with system_errors(f"removing {name}", "make it writable, and run the command again"), aside as place:
            removal.folder.rename(Path(place, how.model))
        how.console.print(f"{name} is removed", highlight=False)


def _require_unedited(session: Session, how: How, change: Change) -> None:
    if _texts(session, change.environment, how.model) != (change.before, change.after, change.base):
        raise changed(change.environment)


def _write(session: Session, change: Change) -> None:
    if change.before != change.after:
        session.project.write(change.environment, change.after)


def _apply(session: Session, how: How, change: Change) -> None:
    """Apply one environment's change; where the engine has not begun the file is put back."""
    from delivery.clients import store

    environment = change.environment
    _require_unedited(session, how, change)
    again = _change(session, how, environment, first=False)
    if (again.content, again.state) != (change.content, change.state):
        raise changed(environment)
    _require_unedited(session, how, change)
    _write(session, change)
    if change.plan and change.plan.changes:
        update = session.engine.update(environment, change.after)
        if not update.succeeded:
            if not update.begun:
                session.project.write(environment, change.before)
            state = "has removed a part of it" if update.begun else "has changed nothing, and its file is as it was"
            raise DeliveryError(
                f"{environment}: the update failed, see above: it {state}; the same command goes on from here"
            )
    if change.jobs:
        session.jobs(environment).delete(change.jobs)
    if change.objects:
        with session.store(environment) as target:
            store.delete(target, change.objects)
