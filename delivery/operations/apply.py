"""A previewed move is applied, waited for until the endpoint answers with it, or undone."""

from delivery.clients.backend import changed
from delivery.clients.endpoint import answers_alone
from delivery.clients.part import Part
from delivery.clients.plan import Plan, summary
from delivery.errors import DeliveryError
from delivery.operations.draft import Draft, How, look
from delivery.operations.pods import Watch
from delivery.operations.settle import wait
from delivery.session import Session


def apply(session: Session, draft: Draft, how: How, began: float) -> None:
    """Write the pointer, update, and wait until the endpoint answers; on failure put the pointer back and apply that.

    Raise DeliveryError unless the endpoint answers with the release `how.timeout` seconds after `began`.
    """
    environment, release = draft.environment, draft.after.release
    start, deadline = session.clock.monotonic(), began + how.timeout
    if start > deadline:
        raise DeliveryError(
            f"{environment}: {how.timeout:.0f} s were over before the update began, nothing was changed; "
            "give it more with --timeout"
        )
    kubectl = session.kubectl(environment)
    watch = Watch(kubectl, session.clock, draft.model, release or "", deadline, how.console)
    _require_unchanged(session, draft, how)
    if draft.is_new:
        session.project.write(environment, draft.text_after)
    update = session.engine.update(
        environment, draft.text_after, watch.stop, deadline - session.clock.monotonic(), draft.part
    )
    if not update.succeeded and not update.begun and (holder := session.backend.holder(environment)):
        watch.reason = watch.reason or f"another update ({holder}) began at the same moment"
    target = session.endpoint(environment, draft.model)
    if update.succeeded and answers_alone(target, release, session.clock, watch.stop):
        seconds = session.clock.monotonic() - start
        how.console.print(f"{environment} answers with {release} ({seconds:.0f} s)", highlight=False)
        return
    reason = (
        watch.reason
        or update.problem
        or ("does not answer with it" if update.succeeded else "the update failed, see above")
    )
    if not draft.is_new:
        raise DeliveryError(f"{environment}: {release}: {reason}; the pointer was there before and stays")
    how.console.print(f"{release}: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    how.console.print("putting the pointer back", style="red", highlight=False)
    state = _undo(session, draft, how, begun=update.begun)
    raise DeliveryError(f"{environment}: {release}: {reason}; {state}")


def _require_unchanged(session: Session, draft: Draft, how: How) -> None:
    """Raise DeliveryError when the file, what environments share, or the state is not what was previewed."""
    environment = draft.environment
    wait(session, environment, how.console)
    session.project.reload(environment)
    now = (session.backend.state(environment), session.project.text(environment), session.project.files.base())
    if now != (draft.state, draft.text_before, draft.base):
        raise changed(environment)


def _undo(session: Session, draft: Draft, how: How, *, begun: bool) -> str:
    """Take back this move's own change and no other; return what became of it."""
    project, environment, model = session.project, draft.environment, draft.model
    project.reload(environment)
    now = project.pointers(environment, model)
    if now != draft.after:
        look = f"see `pulumi preview --stack {environment}`"
        return f"its pointer was moved to {now.release} meanwhile, and stays so; {look}"
    # Byte for byte, unless somebody has edited other lines meanwhile: those stay.
    text = draft.text_before
    if project.text(environment) != draft.text_after:
        text = project.point(environment, model, draft.before)
    project.write(environment, text)
    by_hand = f"run `pulumi up --stack {environment}`"
    try:
        wait(session, environment, how.console)
        if begun:
            # An interrupted step may have changed an object without the state knowing it.
            own = session.engine.resources(environment).of(model)
            session.engine.refresh(environment, [step.urn for step in own if step.exists])
        plan, part = _settled_plan(session, environment, model, text, how)
    except DeliveryError as error:
        return f"the pointer is as it was, but could not be applied: {error}; {by_hand}"
    if not plan.changes:
        return "the pointer is as it was, and nothing of this is applied"
    others = plan.others(model)
    if others and not how.other_changes:
        return f"the pointer is as it was, but not applied, as that would also change {summary(others)}; {by_hand}"
    undone = session.engine.update(environment, text, part=part)
    return f"the state before {'is applied again' if undone.succeeded else f'could not be applied: {by_hand}'}"


def _settled_plan(session: Session, environment: str, model: str, text: str, how: How) -> tuple[Plan, Part | None]:
    """Return what is left to do to apply the text, seen while no other update runs: that may have applied the move."""
    backend = session.backend
    while True:
        wait(session, environment, how.console)
        state = backend.state(environment)
        plan, part = look(session, environment, model, text, how, shown=False)
        if backend.holder(environment) is None and backend.state(environment) == state:
            return plan, part
