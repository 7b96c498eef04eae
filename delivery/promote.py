"""`stellwerk promote` and `stellwerk rollback`: one pointer moved as a previewed, applied and reversible diff."""

import tempfile
import time
from dataclasses import dataclass

import typer
from rich.console import Console

from delivery import engine, kube, stackfile, store
from delivery.errors import DeliveryError
from delivery.predict import answering_release, endpoint
from delivery.release import RELEASES
from infra.config import Model
from infra.releases import Release
from infra.values import file_name, from_file

# Where a release comes from when nothing else is said.
SOURCES = {"test": "dev", "prod": "test"}
# So many answers in a row, so that no pod of the release before is asked any more.
_AGREEING = 10


@dataclass(frozen=True)
class Move:
    """A pointer's move: environment, model, and the two releases it names afterwards."""

    environment: str
    model: str
    release: str
    previous: str | None


def pointers(environment: str, model: str) -> Model:
    """What the environment's file says of the model; raises DeliveryError when it has no such model."""
    endpoint(environment, model)
    return from_file(environment).environment.models[model]


@dataclass(frozen=True)
class How:
    """How a move is applied: without a question, how long the endpoint may take to answer, where progress goes."""

    yes: bool
    timeout: float
    console: Console


def promote(model: str, target: str, source: str | None, release: str | None, how: How) -> None:
    """Moves the target's pointer to a release that the source environment serves, or to `release`.

    Raises DeliveryError with nothing changed, or with the pointer put back and applied again.
    """
    there = pointers(target, model)
    wanted = _wanted(model, target, source, release)
    document = RELEASES.load(model, wanted)
    missed = [gate.metric for gate in document.evaluation.gates if not gate.passed]
    if missed:
        raise DeliveryError(f"release {wanted}: gates not passed: {', '.join(missed)}; it is not promoted")
    if target != "dev":
        _bring_artefact(SOURCES[target], target, document, how.console)
    previous = there.previous if there.release == wanted else there.release
    _apply(Move(target, model, wanted, previous), how)


def rollback(model: str, environment: str, how: How) -> None:
    """Swaps the two pointers: the inverse diff, with nothing to train, build or copy."""
    there = pointers(environment, model)
    if there.previous is None or there.release is None:
        raise DeliveryError(
            f"{file_name(environment)}: {model} has no previous release; there is nothing to go back to"
        )
    applied = engine.outputs(environment)["models"].get(model)
    if applied != there.release:
        raise DeliveryError(
            f"{environment}: an update was interrupted: its file says {there.release}, applied is {applied}; "
            f"`pulumi up --stack {environment}` completes it, then roll back if you still want to"
        )
    _apply(Move(environment, model, there.previous, there.release), how)


def _wanted(model: str, target: str, source: str | None, release: str | None) -> str:
    """The release to promote; to another environment than dev only one that the source has served."""
    if target == "dev":
        if source is not None:
            raise DeliveryError("dev takes releases from training, not from another environment; leave --from away")
        if release is None:
            known = ", ".join(RELEASES.ids(model)) or f"none; run `stellwerk release {model}`"
            raise DeliveryError(f"--to dev needs --release; releases of {model}: {known}")
        return release
    if source not in (None, SOURCES[target]):
        raise DeliveryError(f"{target} takes releases that {SOURCES[target]} has accepted, not from {source}")
    origin = SOURCES[target]
    there = pointers(origin, model)
    if release is None:
        if there.release is None:
            raise DeliveryError(
                f"{origin} has no release of {model} yet; run `stellwerk promote {model} --to {origin}` first"
            )
        return there.release
    if release not in (there.release, there.previous):
        RELEASES.load(model, release)
        served = ", ".join(filter(None, (there.release, there.previous))) or "none yet"
        raise DeliveryError(
            f"{release} is not what {origin} serves; releases accepted there: {served}; "
            f"run `stellwerk promote {model} --to {origin} --release {release}` first"
        )
    return release


def _bring_artefact(origin: str, target: str, document: Release, console: Console) -> None:
    with store.connect(target) as there:
        state, moved = store.content(there, document.artefact), 0
        if state is store.Content.CHANGED:
            console.print(f"[red]{target}: {document.artefact.key} was changed in its store; replacing it[/red]",
                          highlight=False, soft_wrap=True)  # fmt: skip
        if state is not store.Content.INTACT:
            with store.connect(origin) as here:
                moved = store.copy(here, there, document.artefact)
    console.print(
        f"artefact {document.artefact.key}: {moved} bytes copied to {target}", highlight=False, soft_wrap=True
    )


def _apply(move: Move, how: How) -> None:
    """Preview, question, pointer, update, wait; on failure the pointer goes back and is applied again."""
    before = stackfile.path(move.environment).read_text(encoding="utf-8")
    after = stackfile.point(move.environment, move.model, move.release, move.previous)
    engine.wait_for_lock(move.environment, how.console)
    if after == before and _answers(move, seconds=1):
        how.console.print(f"{move.environment} answers with {move.release} already: nothing to do", highlight=False)
        return
    kube.require(move.environment)
    _preview(move, after)
    if not (how.yes or typer.confirm(f"Apply this to {move.environment}?", err=True)):
        raise DeliveryError("nothing was changed")
    stackfile.write(move.environment, after)
    began = time.monotonic()
    # Previewed a moment ago, with the same values.
    applied = engine.show("up", "--stack", move.environment, "--yes", "--skip-preview")
    if applied and _answers(move, seconds=how.timeout):
        seconds = time.monotonic() - began
        how.console.print(f"{move.environment} answers with {move.release} ({seconds:.0f} s)", highlight=False)
        return
    reason = "does not answer with it" if applied else "the update failed, see above"
    if after == before:
        raise DeliveryError(f"{move.environment}: {move.release}: {reason}; the pointer was there before and stays")
    how.console.print(f"[red]{move.release}: {reason}; putting the pointer back[/red]", highlight=False)
    stackfile.write(move.environment, before)
    undone = engine.show("up", "--stack", move.environment, "--yes", "--skip-preview")
    state = "is applied again" if undone else f"could not be applied: run `pulumi up --stack {move.environment}`"
    raise DeliveryError(f"{move.environment}: {move.release}: {reason}; the state before {state}")


def _preview(move: Move, text: str) -> None:
    """The target's preview with the moved pointer, while its file stays as it is."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix=f"Pulumi.{move.environment}.") as file:
        file.write(text)
        file.flush()
        if not engine.show("preview", "--stack", move.environment, "--config-file", file.name, "--diff"):
            raise DeliveryError(f"the preview of {move.environment} failed, see above; nothing was changed")


def _answers(move: Move, seconds: float) -> bool:
    """Whether the endpoint answers with the release, and with it alone, within `seconds`."""
    target = endpoint(move.environment, move.model)
    deadline, agreeing = time.monotonic() + seconds, 0
    while True:
        # A new connection each time: a kept one would ask the same pod.
        with target.client(timeout=5) as client:
            agreeing = agreeing + 1 if answering_release(target, client) == move.release else 0
        if agreeing >= _AGREEING:
            return True
        if agreeing == 0 and time.monotonic() > deadline:
            return False
        time.sleep(0.1)
