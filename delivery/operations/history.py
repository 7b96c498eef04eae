"""`stellwerk history`: how a release has changed, by git and by what the stacks have recorded of their updates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from delivery.clients.git import Git, Version
from delivery.clients.updates import Recorded, updates
from delivery.errors import DeliveryError
from delivery.project import Project
from delivery.session import Session
from infra.contract.problems import ConfigError
from infra.contract.reading import tree
from infra.contract.stacks import own
from infra.values import file_name


@dataclass(frozen=True)
class Moved:
    """A commit that has moved the pointer, as the checked out branch has had it."""

    version: Version
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Applied:
    """An update that has changed the release, or tried to; `after` is what it was to be, None where nobody knows."""

    update: Recorded
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Entry:
    """One change of a model's release in an environment.

    `time` is when the update ended, else when the pointer was committed; `by` who applied it, else who committed it.
    `commit` is the one that moved the pointer, `checked_out` the one that was checked out during the update, `run` the
    CI's. `result` is succeeded, failed, killed or running, None without an update. `disagrees` says in which of git and
    stack it is not; None: it is in both.
    """

    environment: str
    time: str
    by: str | None
    before: str | None
    after: str | None
    commit: str | None
    author: str | None
    subject: str | None
    seconds: float | None
    result: str | None
    checked_out: str | None
    run: str | None
    disagrees: str | None


@dataclass(frozen=True)
class Now:
    """What the stack file names, what is committed of it, and what the stack was applied with to its end."""

    environment: str
    file: str | None
    committed: str | None
    applied: str | None
    disagrees: str | None


@dataclass(frozen=True)
class History:
    """The changes of a model's release, oldest first, and how each environment stands; `shallow`: git's is cut off."""

    model: str
    entries: tuple[Entry, ...]
    now: tuple[Now, ...]
    shallow: bool


def history(session: Session, model: str, environment: str | None = None) -> History:
    """Return how the release of a model has changed in an environment, or in all; nothing is changed.

    Raise DeliveryError when no environment knows the model, or when a backend cannot be read.
    """
    project, git = session.project, Git(session.project.root)
    names = (project.files.require(environment),) if environment else project.environments
    entries: list[Entry] = []
    now = []
    for name in names:
        moved = list(_moved(git.versions(file_name(name)), name, model))
        recorded = updates(session.engine, name)
        applied = list(_applied(recorded, model))
        if not moved and not applied and not _names(project, name, model):
            continue
        entries += _entries(name, moved, applied)
        now.append(_now(session, name, model, git))
    if not now:
        raise DeliveryError(f"{', '.join(map(file_name, names))}: there never was a model {model!r}")
    return History(model, tuple(sorted(entries, key=lambda entry: entry.time)), tuple(now), git.is_shallow)


def _moved(versions: Sequence[Version], environment: str, model: str) -> Iterator[Moved]:
    before: str | None = None
    for version in versions:
        try:
            after = _pointer(version.text, environment, model)
        except ConfigError:
            # It was not readable then: the next version that is counts.
            continue
        if after != before:
            yield Moved(version, before, after)
        before = after


def _pointer(text: str | None, environment: str, model: str) -> str | None:
    stated = _models(text, environment).get(model)
    release = stated.get("release") if isinstance(stated, dict) else None
    return release if isinstance(release, str) else None


def _models(text: str | None, environment: str) -> dict[str, Any]:
    """Return what a stack file says of its models, right or not; raise ConfigError where it is not YAML."""
    values = tree(text, file_name(environment)) if text else None
    models = own(values.get("config")).get("models") if isinstance(values, dict) else None
    return models if isinstance(models, dict) else {}


def _names(project: Project, environment: str, model: str) -> bool:
    return model in _models(project.text(environment), environment)


def _applied(recorded: Sequence[Recorded], model: str) -> Iterator[Applied]:
    """Yield each update that was to change the release; of one that was killed nobody knows what it was to change."""
    before: str | None = None
    for update in recorded:
        if update.releases is None:
            if not update.succeeded:
                yield Applied(update, before, None)
            continue
        after = update.releases.get(model)
        if after != before:
            yield Applied(update, before, after)
        if update.succeeded:
            before = after


def _entries(environment: str, moved: Sequence[Moved], applied: Sequence[Applied]) -> Iterator[Entry]:
    done = [each for each in applied if each.update.succeeded]
    pairs = {id(right): left for left, right in _pairs(moved, done)}
    joined = {id(left) for left in pairs.values()}
    for each in applied:
        yield _entry(environment, pairs.get(id(each)), each)
    for commit in moved:
        if id(commit) not in joined:
            yield _entry(environment, commit, None)


def _pairs(moved: Sequence[Moved], applied: Sequence[Applied]) -> list[tuple[Moved, Applied]]:
    """Return which commit belongs to which update: as many as there can be in the order of both, the nearest in time.

    Who promotes applies first and commits then; who merges commits first.
    """
    # best[i][j]: of the commits from i on and the updates from j on, how many pairs, and how far apart they are.
    best = [[(0, 0.0)] * (len(applied) + 1) for _ in range(len(moved) + 1)]

    def together(i: int, j: int) -> tuple[int, float]:
        count, apart = best[i + 1][j + 1]
        return count + 1, apart - abs(moved[i].version.time - _time(applied[j]))

    for i in reversed(range(len(moved))):
        for j in reversed(range(len(applied))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            if moved[i].after == applied[j].after:
                best[i][j] = max(best[i][j], together(i, j))
    made, i, j = [], 0, 0
    while i < len(moved) and j < len(applied):
        if moved[i].after == applied[j].after and best[i][j] == together(i, j):
            made.append((moved[i], applied[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return made


def _time(applied: Applied) -> float:
    return applied.update.ended or applied.update.began


def _entry(environment: str, moved: Moved | None, applied: Applied | None) -> Entry:
    change = applied or moved
    update, version = applied.update if applied else None, moved.version if moved else None
    ended = update.ended if update else None
    return Entry(
        environment,
        _iso(_time(applied) if applied else version.time if version else 0),
        (update.by if update else None) or (version.author if version else None),
        change.before if change else None,
        change.after if change else None,
        version.commit.id if version else None,
        version.author if version else None,
        version.commit.subject if version else None,
        ended - update.began if update and ended is not None else None,
        update.result if update else None,
        update.commit if update else None,
        update.run if update else None,
        _disagreement(moved, update),
    )


def _disagreement(moved: Moved | None, update: Recorded | None) -> str | None:
    if update is None:
        return "committed, never applied"
    if update.result == "killed":
        return "the update was killed; nobody has recorded which release it was to bring"
    if update.result == "running":
        return "the update runs"
    if not update.succeeded:
        return f"the update {update.result}"
    return None if moved else "applied, never committed"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _now(session: Session, environment: str, model: str, git: Git) -> Now:
    file = _pointer(session.project.text(environment), environment, model)
    committed = _pointer(git.text("HEAD", file_name(environment)), environment, model)
    try:
        applied = session.engine.served(environment, model)
    except DeliveryError:
        # There is no such stack, or it was never applied to its end.
        applied = None
    said = []
    if file != committed:
        said.append(f"the file names {_name(file)}, committed is {_name(committed)}: commit {file_name(environment)}")
    if file != applied:
        said.append(
            f"the file names {_name(file)}, applied is {_name(applied)}: see `stellwerk plan {environment}`, then run "
            f"`pulumi up --stack {environment}`"
        )
    return Now(environment, file, committed, applied, "; ".join(said) or None)


def _name(release: str | None) -> str:
    return release or "no release"
