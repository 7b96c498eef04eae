"""What a move of a model's pointer would do right now, from the stack file, the cluster and a preview."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.console import Console

from delivery.clients.checkpoint import outputs
from delivery.clients.endpoint import answers_alone
from delivery.clients.part import Part, part
from delivery.clients.plan import Plan, summary
from delivery.errors import DeliveryError
from delivery.operations.settle import wait
from delivery.project import Pointers
from delivery.session import Session
from infra.services.serving import APPLIED, digests
from infra.values import file_name


@dataclass(frozen=True)
class How:
    """How a move is done: whether without a question, and within how many seconds.

    `timeout` counts from the start of the operation; what follows a question counts from its answer.
    """

    yes: bool
    timeout: float
    console: Console
    confirm: Callable[[str], bool]
    other_changes: bool = False


@dataclass(frozen=True)
class Move:
    """A move of a model's pointer in an environment: what it becomes, given what it is when the move is made."""

    environment: str
    model: str
    wanted: Callable[[Pointers], Pointers]


@dataclass(frozen=True)
class Draft:
    """A move as it was previewed: the pointers and the file's text before and after, and what the engine would do.

    `base` is the text of what environments share.
    """

    environment: str
    model: str
    before: Pointers
    after: Pointers
    text_before: str
    text_after: str
    base: str | None
    plan: Plan
    state: object
    part: Part | None

    @property
    def is_new(self) -> bool:
        """Return whether the pointer moves at all; one that was never applied is applied as it stands."""
        return self.before != self.after


def draft(session: Session, move: Move, how: How, *, shown: bool) -> Draft | None:
    """Return what the move would do right now, None when there is nothing to do; refuse what touches anything else."""
    project, environment, model = session.project, move.environment, move.model
    wait(session, environment, how.console)
    # Others may have changed the file while they were waited for, or while the question was.
    project.reload(environment)
    before = project.pointers(environment, model)
    after = move.wanted(before)
    text, edited = project.text(environment), project.point(environment, model, after)
    base = project.files.base()
    if shown and before == after and _is_done(session, environment, model, after.release):
        how.console.print(f"{environment} answers with {after.release} already: nothing to do", highlight=False)
        return None
    session.kubectl(environment).require()
    _register_missing(session, environment, model, how.console)
    state = session.backend.state(environment)
    plan, part = look(session, environment, model, edited, how, shown=shown)
    others = plan.others(model)
    if others and not how.other_changes:
        raise DeliveryError(
            f"{environment}: this would also change what is not {model}'s: {summary(others)}; nothing was changed. "
            f"This checkout and what is applied differ: bring {file_name(environment)} up to date, or run `pulumi up "
            f"--stack {environment}` first; --allow-other-changes applies it all the same"
        )
    return Draft(environment, model, before, after, text, edited, base, plan, state, part)


def look(
    session: Session, environment: str, model: str, text: str, how: How, *, shown: bool
) -> tuple[Plan, Part | None]:
    """Return what an update with `text` would do, and the part of the stack to which it can be confined.

    None where everything has to be looked at: as long as what the file says of the other models is not what was
    applied, somebody has to be shown what becomes of them.
    """
    state = {} if how.other_changes else session.engine.export(environment)
    applied = outputs(state).get(APPLIED, {})
    wanted = digests(session.project.environment(environment)) if applied else {}
    confined = part(state, model) if applied and {**applied, model: ""} == {**wanted, model: ""} else None
    plan = session.engine.preview(environment, text, shown=shown, part=confined)
    # All of the model's own, changed or not: what only the update finds to be different is its own, too.
    return plan, confined and replace(confined, targets=tuple(step.urn for step in plan.of(model)))


def _is_done(session: Session, environment: str, model: str, release: str | None) -> bool:
    """Return whether the stack was applied with the release, to its end, and the endpoint answers with it."""
    if session.engine.served(environment, model) != release:
        return False
    deadline = session.clock.monotonic() + 1
    target = session.endpoint(environment, model)
    return answers_alone(target, release, session.clock, lambda: session.clock.monotonic() > deadline)


def _register_missing(session: Session, environment: str, model: str, console: Console) -> None:
    """Let the engine know which of the model's own objects were deleted by hand, so that the update makes them."""
    missing = session.kubectl(environment).missing(session.engine.resources(environment).of(model))
    if not missing:
        return
    console.print(f"deleted by hand: {summary(missing)}; the update makes it again", highlight=False)
    if not session.engine.refresh(environment, [step.urn for step in missing]):
        raise DeliveryError(f"the refresh of {environment} failed, see above; nothing was changed")
