"""`stellwerk promote` and `stellwerk rollback`: one pointer moved as a previewed, applied and reversible diff."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import typer
from rich.console import Console

from delivery import stackfile
from delivery.clients import engine, kube, store
from delivery.clients.endpoint import answering_release, endpoint
from delivery.errors import DeliveryError
from delivery.operations.accepted import SOURCES, accepted, pointers
from delivery.operations.plan import Plan, summary
from delivery.operations.pods import Watch
from delivery.operations.release import RELEASES
from infra.contract.release import Release, StoredObject
from infra.values import file_name

# So many answers in a row, so that no pod of the release before is asked any more.
_AGREEING = 10


@dataclass(frozen=True)
class Pointers:
    """The two releases that an environment's file names for a model."""

    release: str | None
    previous: str | None


@dataclass(frozen=True)
class How:
    """How a move is done.

    `timeout` counts from `began`, the start of the command; what follows a question counts from its answer.
    """

    yes: bool
    timeout: float
    console: Console
    other_changes: bool = False
    began: float = field(default_factory=lambda: time.monotonic())


@dataclass(frozen=True)
class Move:
    """A move of a model's pointer in an environment: what it becomes, given what it is when the move is made."""

    environment: str
    model: str
    wanted: Callable[[Pointers], Pointers]


@dataclass(frozen=True)
class Draft:
    """A move as it was previewed: the pointers and the file's text before and after, and what the engine would do."""

    environment: str
    model: str
    before: Pointers
    after: Pointers
    text_before: str
    text_after: str
    plan: Plan
    state: object

    @property
    def is_new(self) -> bool:
        """Whether the pointer moves at all; one that was never applied is applied as it stands."""
        return self.before != self.after


def promote(model: str, target: str, source: str | None, release: str | None, how: How) -> None:
    """Moves the target's pointer to a release that the source environment serves, or to `release`.

    Raises DeliveryError with nothing changed, or with the pointer put back and applied again.
    """
    pointers(target, model)
    wanted = accepted(model, target, source, release)
    document = RELEASES.load(model, wanted)
    missed = [gate.metric for gate in document.evaluation.gates if not gate.passed]
    if missed:
        raise DeliveryError(f"release {wanted}: gates not passed: {', '.join(missed)}; it is not promoted")
    if target != "dev":
        _bring_artefact(SOURCES[target], target, document, how.console)

    def forward(now: Pointers) -> Pointers:
        return Pointers(wanted, now.previous if now.release == wanted else now.release)

    _make(Move(target, model, forward), how)


def rollback(model: str, environment: str, how: How) -> None:
    """Swaps the two pointers: the inverse diff, with nothing to train, build or copy."""

    def swapped(now: Pointers) -> Pointers:
        if now.previous is None or now.release is None:
            raise DeliveryError(
                f"{file_name(environment)}: {model} has no previous release; there is nothing to go back to"
            )
        applied = engine.outputs(environment).get("models", {}).get(model)
        if applied != now.release:
            raise DeliveryError(
                f"{environment}: an update was interrupted: its file says {now.release}, applied is {applied}; "
                f"`pulumi up --stack {environment}` completes it, then roll back if you still want to"
            )
        return Pointers(now.previous, now.release)

    _make(Move(environment, model, swapped), how)


def _bring_artefact(origin: str, target: str, document: Release, console: Console) -> None:
    """Copy the artefact, and the example rows where the release has them, to the target's store."""
    objects: dict[str, StoredObject] = {"artefact": document.artefact}
    if document.examples:
        objects["examples"] = document.examples
    with store.connect(target) as there, ExitStack() as stack:
        here = None
        for name, item in objects.items():
            state, moved = store.content(there, item), 0
            if state is store.Content.CHANGED:
                message = f"[red]{target}: {item.key} was changed in its store; replacing it[/red]"
                console.print(message, highlight=False, soft_wrap=True)
            if state is not store.Content.INTACT:
                here = here or stack.enter_context(store.connect(origin))
                moved = store.copy(here, there, item)
            console.print(f"{name} {item.key}: {moved} bytes copied to {target}", highlight=False, soft_wrap=True)


def _make(move: Move, how: How) -> None:
    """Preview, question, update, wait, or undo; the environment is locked but while the question waits."""
    environment = move.environment
    with engine.locked(environment, how.console):
        draft = _draft(move, how, shown=True)
        if draft is None:
            return
        if how.yes:
            _carry_out(draft, how)
            return
    if not typer.confirm(f"Apply this to {environment}?", err=True):
        raise DeliveryError("nothing was changed")
    answered = time.monotonic()
    with engine.locked(environment, how.console):
        again = _draft(move, how, shown=False)
        if again is None or again.before != draft.before or again.plan.digest != draft.plan.digest:
            raise engine.changed(environment)
        _carry_out(again, replace(how, began=answered))


def _draft(move: Move, how: How, *, shown: bool) -> Draft | None:
    """What the move would do right now; None when there is nothing to do. Refuses what touches anything else."""
    environment, model = move.environment, move.model
    engine.wait_for_lock(environment, how.console)
    text = stackfile.read(environment)
    before = _stated(environment, model)
    after = move.wanted(before)
    changed = stackfile.point(environment, model, after.release, after.previous)
    if shown and before == after and _is_done(environment, model, after.release):
        how.console.print(f"{environment} answers with {after.release} already: nothing to do", highlight=False)
        return None
    kube.require(environment)
    _put_straight(environment, model, how.console)
    state, plan = engine.state(environment), engine.preview(environment, changed, shown=shown)
    others = plan.others(model)
    if others and not how.other_changes:
        raise DeliveryError(
            f"{environment}: this would also change what is not {model}'s: {summary(others)}; nothing was changed. "
            f"This checkout and what is applied differ: bring {file_name(environment)} up to date, or run `pulumi up "
            f"--stack {environment}` first; --allow-other-changes applies it all the same"
        )
    return Draft(environment, model, before, after, text, changed, plan, state)


def _is_done(environment: str, model: str, release: str | None) -> bool:
    """Whether the stack was applied with the release, to its end, and the endpoint answers with it."""
    applied = engine.outputs(environment).get("models", {}).get(model)
    return applied == release and _answers(environment, model, release, time.monotonic() + 1)


def _stated(environment: str, model: str) -> Pointers:
    found = pointers(environment, model)
    return Pointers(found.release, found.previous)


def _put_straight(environment: str, model: str, console: Console) -> None:
    """Lets the engine know which of the model's own objects were deleted by hand, so that the update makes them."""
    missing = kube.missing(environment, engine.resources(environment).of(model))
    if not missing:
        return
    console.print(f"not there any more: {summary(missing)}; the update makes it again", highlight=False)
    if not engine.refresh(environment, [step.urn for step in missing]):
        raise DeliveryError(f"the refresh of {environment} failed, see above; nothing was changed")


def _carry_out(draft: Draft, how: How) -> None:
    """Pointer, update, wait until the endpoint answers; on failure the pointer goes back and is applied again."""
    environment, release = draft.environment, draft.after.release
    began, deadline = time.monotonic(), how.began + how.timeout
    if began > deadline:
        raise DeliveryError(
            f"{environment}: {how.timeout:.0f} s were over before the update began, nothing was changed; "
            "give it more with --timeout"
        )
    watch = Watch(environment, draft.model, release or "", deadline, how.console)
    engine.wait_for_lock(environment, how.console)
    if engine.state(environment) != draft.state or stackfile.read(environment) != draft.text_before:
        raise engine.changed(environment)
    if draft.is_new:
        stackfile.write(environment, draft.text_after)
    update = engine.update(environment, draft.text_after, watch.stop, deadline - time.monotonic())
    if not update.succeeded and not update.begun and (holder := engine.lock_holder(environment)):
        watch.reason = watch.reason or f"another update ({holder}) began at the same moment"
    if update.succeeded and _answers(environment, draft.model, release, watch.deadline, watch):
        seconds = time.monotonic() - began
        how.console.print(f"{environment} answers with {release} ({seconds:.0f} s)", highlight=False)
        return
    reason = watch.reason or ("does not answer with it" if update.succeeded else "the update failed, see above")
    if not draft.is_new:
        raise DeliveryError(f"{environment}: {release}: {reason}; the pointer was there before and stays")
    how.console.print(f"{release}: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    how.console.print("putting the pointer back", style="red", highlight=False)
    state = _undo(draft, how, begun=update.begun)
    raise DeliveryError(f"{environment}: {release}: {reason}; {state}")


def _undo(draft: Draft, how: How, *, begun: bool) -> str:
    """Takes back this move's own change and no other; returns what became of it."""
    environment, model = draft.environment, draft.model
    now = _stated(environment, model)
    if now != draft.after:
        look = f"see `pulumi preview --stack {environment}`"
        return f"its pointer was moved to {now.release} meanwhile, and stays so; {look}"
    # Byte for byte, unless somebody has edited other lines meanwhile: those stay.
    text = draft.text_before
    if stackfile.read(environment) != draft.text_after:
        text = stackfile.point(environment, model, draft.before.release, draft.before.previous)
    stackfile.write(environment, text)
    by_hand = f"run `pulumi up --stack {environment}`"
    try:
        engine.wait_for_lock(environment, how.console)
        if begun:
            # An interrupted step may have changed an object without the state knowing it.
            own = engine.resources(environment).of(model)
            engine.refresh(environment, [step.urn for step in own if step.exists])
        plan = _settled(environment, text, how.console)
    except DeliveryError as error:
        return f"the pointer is as it was, but could not be applied: {error}; {by_hand}"
    if not plan.changes:
        return "the pointer is as it was, and nothing of this is applied"
    others = plan.others(model)
    if others and not how.other_changes:
        return f"the pointer is as it was, but not applied, as that would also change {summary(others)}; {by_hand}"
    undone = engine.update(environment, text)
    return f"the state before {'is applied again' if undone.succeeded else f'could not be applied: {by_hand}'}"


def _settled(environment: str, text: str, console: Console) -> Plan:
    """What is left to do to apply the text, seen while no other update runs: that may have applied the move."""
    while True:
        engine.wait_for_lock(environment, console)
        state = engine.state(environment)
        plan = engine.preview(environment, text, shown=False)
        if engine.lock_holder(environment) is None and engine.state(environment) == state:
            return plan


def _answers(environment: str, model: str, release: str | None, deadline: float, watch: Watch | None = None) -> bool:
    """Whether the endpoint answers with the release, and with it alone, before the deadline."""
    target, agreeing = endpoint(environment, model), 0
    while True:
        # A new connection each time: a kept one would ask the same pod.
        with target.client(timeout=5) as client:
            agreeing = agreeing + 1 if answering_release(target, client) == release else 0
        if agreeing >= _AGREEING:
            return True
        if agreeing == 0 and (watch.stop() if watch else time.monotonic() > deadline):
            return False
        time.sleep(0.1)
