"""`stellwerk ci preview`: what a change would do to each environment that it touches, and what is refused in it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from delivery.clients.forges.forge import Check, State
from delivery.errors import DeliveryError
from delivery.operations import exported_state, offline
from delivery.operations.exported_state import ExportedState
from delivery.operations.plan import Report, plan, report
from delivery.operations.touched import Touched, touched
from delivery.session import Session
from infra.contract.problems import ConfigError
from infra.targets.variables import PULUMI_BACKEND_URL
from infra.values import file_name, from_file

_STATES = "state"
# Exit codes: 1 is any error of the command itself.
REFUSED = 3
NOT_LOOKED = 4
VALUES_CHECK, PREVIEW_CHECK = "stellwerk: values and releases", "stellwerk: preview"


@dataclass(frozen=True)
class Looked:
    """What is known of one environment: what would be done, why its files are refused, or why nobody can say.

    `last` is the exported state that it was compared with, None where it was compared with the stack itself.
    """

    environment: str
    report: Report | None = None
    refused: str | None = None
    unknown: str | None = None
    last: ExportedState | None = None


@dataclass(frozen=True)
class Refusal:
    """A document of the change that is refused, and why."""

    document: str
    why: str


@dataclass(frozen=True)
class Preview:
    """What a change would do."""

    touched: Touched
    environments: tuple[Looked, ...]
    refusals: tuple[Refusal, ...]

    @property
    def is_refused(self) -> bool:
        """Return whether something in the change is refused."""
        return bool(self.refusals) or any(each.refused for each in self.environments)

    @property
    def is_unknown(self) -> bool:
        """Return whether an environment was not looked at."""
        return any(each.unknown for each in self.environments)

    @property
    def exit_code(self) -> int:
        """Return the exit code: what is refused counts before what nobody knows."""
        return REFUSED if self.is_refused else NOT_LOOKED if self.is_unknown else 0


def preview(session: Session, base: str, head: str, states: Path | None) -> Preview:
    """Return what a commit, whose files are checked out, would do: it changes what it has and `base` has not.

    Each environment is compared with its stack, or with its exported state `<environment>.json` somewhere in the folder
    `states`. Raise DeliveryError when git does not know one of the two.
    """
    change = touched(session.project, base, head)
    looked = [_look(session, name, states, is_new=name in change.new) for name in change.environments]
    gone = [
        Looked(name, unknown=f"its stack file is removed; the stack stays until `pulumi destroy --stack {name}`")
        for name in change.gone
    ]
    return Preview(change, (*looked, *gone), tuple(_refusals(session, change)))


def source(session: Session, states: Path | None) -> Path | None:
    """Return the folder with exported states: the given one, else `state` where nothing says where the stacks are."""
    return states if states is not None or session.variables.get(PULUMI_BACKEND_URL) else session.project.root / _STATES


def _look(session: Session, environment: str, states: Path | None, *, is_new: bool) -> Looked:
    project = session.project
    try:
        if states is None:
            return Looked(environment, plan(session, environment, None))
        # A preview that fails does not know whether the files are why.
        from_file(environment, project.root, services=project.services, files=project.files)
        last = _last(environment, states, is_new=is_new)
        planned = offline.preview(session, environment, last)
        # Whether it fits depends on what runs in the cluster.
        return Looked(environment, report(project, project, None, environment, planned, None), last=last)
    except ConfigError as error:
        return Looked(environment, refused=str(error))
    except DeliveryError as error:
        return Looked(environment, unknown=str(error))


def _last(environment: str, states: Path, *, is_new: bool) -> ExportedState:
    # An artefact that was fetched may be in a folder of its own.
    file = next(iter(sorted(states.rglob(exported_state.file_name(environment)))), None)
    if file is not None:
        return exported_state.read(file)
    if is_new:
        return exported_state.never_applied(environment)
    raise DeliveryError(
        f"there is no exported state in {states}/; write it with `stellwerk ci export {environment}` after each update"
    )


def _refusals(session: Session, change: Touched) -> list[Refusal]:
    """Return what is wrong with the documents of a change, whichever environment needs them."""
    releases, models = session.project.releases, session.project.models
    refusals = [
        Refusal(_release(*each), "a release file is never edited; make another release") for each in change.edited
    ]
    documents: list[tuple[str, Callable[[], object]]] = [
        *((_release(*each), partial(releases.load, *each)) for each in change.releases),
        *((f"models/{name}/model.yaml", partial(models.load, name)) for name in change.models),
    ]
    for name, load in documents:
        try:
            load()
        except ConfigError as error:
            refusals.append(Refusal(name, str(error)))
    return refusals


def _release(model: str, release: str) -> str:
    return f"stacks/releases/{model}/{release}.yaml"


def checks(made: Preview) -> tuple[Check, ...]:
    """Return the results for the forge: one of the values and documents, one of the previews."""
    refused = [*(each.document for each in made.refusals), *(_file(each) for each in made.environments if each.refused)]
    unknown = [each.environment for each in made.environments if each.unknown]
    looked = [each.environment for each in made.environments if each.report]
    return (
        Check(
            VALUES_CHECK,
            State.FAILURE if refused else State.SUCCESS,
            f"refused: {', '.join(refused)}" if refused else "nothing is refused",
            "The comment of the preview says what, where and what to do.",
        ),
        Check(
            PREVIEW_CHECK,
            State.NEUTRAL if unknown else State.SUCCESS,
            f"not looked at: {', '.join(unknown)}" if unknown else f"looked at: {', '.join(looked) or 'nothing'}",
            "The comment of the preview says what would change.",
        ),
    )


def _file(looked: Looked) -> str:
    return file_name(looked.environment)
