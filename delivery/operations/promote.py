"""`stellwerk promote` and `stellwerk rollback`: one pointer moved as a previewed, applied and reversible diff.

Or proposed: the same diff as a pull request, and applied by whoever merges it.
"""

from rich.console import Console

from delivery.clients.backend import changed
from delivery.clients.forges.forge import PullRequest
from delivery.errors import DeliveryError
from delivery.operations.accepted import accepted
from delivery.operations.apply import apply
from delivery.operations.draft import How, Move, draft
from delivery.operations.proposal import forge_of, propose
from delivery.project import Pointers
from delivery.session import Session
from infra.contract.release import Release
from infra.services.serving import memory_problem, takes_unevaluated
from infra.values import file_name


def promote(session: Session, model: str, target: str, source: str | None, release: str | None, how: How) -> None:
    """Move the target's pointer to a release that the source environment serves, or to `release`.

    Raise DeliveryError with nothing changed, or with the pointer put back and applied again.
    """
    began = session.clock.monotonic()
    _make(session, _promotion(session, model, target, source, release, how), how, began)


def propose_promotion(
    session: Session, model: str, target: str, source: str | None, release: str | None, how: How
) -> PullRequest | None:
    """Return the pull request that does what `promote` does; None where the target has the release already.

    The artefact is brought now: who merges, and applies, needs nothing but the stack file. Raise DeliveryError with no
    file of the checkout changed.
    """
    forge_of(session)
    return propose(session, _promotion(session, model, target, source, release, how), how, "promote")


def _promotion(session: Session, model: str, target: str, source: str | None, release: str | None, how: How) -> Move:
    """Return the move to a release that the target may have, once its artefact is there."""
    session.project.model(target, model)
    wanted = accepted(session, model, target, source, release)
    document = session.project.releases.load(model, wanted)
    _require_evaluation(session, model, target, document)
    _require_memory(session, model, target, document)
    # Where releases enter, too: what was imported is in the first environment's store.
    origin = session.project.source(target) or session.project.first
    if origin != target:
        _bring_artefact(session, origin, target, document, how.console)
    if session.project.model(target, model).test_set is not None:
        # ONNX Runtime takes half a second to import.
        from delivery.operations.tested import require_test_set

        require_test_set(session, target, document, how.console)

    def forward(now: Pointers) -> Pointers:
        return Pointers(wanted, now.previous if now.release == wanted else now.release)

    return Move(target, model, forward)


def rollback(session: Session, model: str, environment: str, how: How) -> None:
    """Swap the two pointers: the inverse diff, with nothing to train, build or copy.

    Raise DeliveryError with nothing changed, or with the pointer put back and applied again.
    """
    _make(session, _inverse(session, model, environment), how, session.clock.monotonic())


def propose_rollback(session: Session, model: str, environment: str, how: How) -> PullRequest | None:
    """Return the pull request that does what `rollback` does; None where the environment is back already."""
    return propose(session, _inverse(session, model, environment), how, "rollback")


def _inverse(session: Session, model: str, environment: str) -> Move:
    def swapped(now: Pointers) -> Pointers:
        if now.previous is None or now.release is None:
            raise DeliveryError(
                f"{file_name(environment)}: {model} has no previous release; there is nothing to go back to"
            )
        applied = session.engine.served(environment, model)
        if applied != now.release:
            raise DeliveryError(
                f"{environment}: an update was interrupted: its file says {now.release}, applied is {applied}; "
                f"`pulumi up --stack {environment}` completes it, then roll back if you still want to"
            )
        return Pointers(now.previous, now.release)

    return Move(environment, model, swapped)


def _require_evaluation(session: Session, model: str, target: str, document: Release) -> None:
    """Raise DeliveryError for a release that has missed a gate, or that has no evaluation where one is needed."""
    release, evaluation = document.metadata.release, document.evaluation
    missed = [gate.metric for gate in evaluation.gates if not gate.passed] if evaluation else []
    if missed:
        raise DeliveryError(f"release {release}: gates not passed: {', '.join(missed)}; it is not promoted")
    if evaluation is None and not takes_unevaluated(session.project.environment(target), model):
        raise DeliveryError(
            f"release {release}: it was imported without an evaluation, and {target} takes no such release of {model}; "
            "import the model again with rows to evaluate it on, or set acceptsUnevaluated of "
            f"{model} in {file_name(target)} to true"
        )


def _require_memory(session: Session, model: str, target: str, document: Release) -> None:
    """Raise DeliveryError for a release that the target's pods have no room for, before anything of it is copied."""
    problem = memory_problem(session.project.environment(target), model, session.project.model(target, model), document)
    if problem:
        key = ".".join(map(str, problem.path))
        raise DeliveryError(
            f"{file_name(target)}: {key} is {problem.given}; allowed: {problem.allowed}; {problem.action}; nothing was "
            "changed"
        )


def _bring_artefact(session: Session, origin: str, target: str, document: Release, console: Console) -> None:
    """Copy all files of the artefact, and the example rows, but those of which the target has this very content."""
    # boto3 takes long to import, and a rollback needs none of it.
    from delivery.clients import store, transfer

    with session.store(target) as target_store:
        for name, item in document.objects.items():
            state, moved = store.content(target_store, item), 0
            if state is store.Content.CHANGED:
                text = f"{target}: {item.key} was changed in its store; replacing it"
                console.print(text, style="red", highlight=False, soft_wrap=True)
            if state is not store.Content.INTACT:
                with session.store(origin) as source_store:
                    moved = transfer.copy(source_store, target_store, item)
            console.print(f"{name} {item.key}: {moved} bytes copied to {target}", highlight=False, soft_wrap=True)


def _make(session: Session, move: Move, how: How, began: float) -> None:
    """Preview, ask, apply, wait, or undo; the environment is locked but while the question waits."""
    environment = move.environment
    with session.backend.locked(environment, how.console):
        shown = draft(session, move, how, shown=True)
        if shown is None:
            return
        if how.yes:
            apply(session, shown, how, began)
            return
    if not how.confirm(environment):
        raise DeliveryError("nothing was changed")
    answered = session.clock.monotonic()
    with session.backend.locked(environment, how.console):
        again = draft(session, move, how, shown=False)
        if again is None or again.before != shown.before or again.plan.digest != shown.plan.digest:
            raise changed(environment)
        apply(session, again, how, answered)
