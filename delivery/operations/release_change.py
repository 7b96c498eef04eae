"""How one release of a model differs from another: metrics, requirements, and the commits they were trained from."""

from collections.abc import Sequence
from dataclasses import dataclass

from delivery.clients.git import Commit, Git
from delivery.operations.feedback import Noted, noted, open_feedback
from delivery.project import Project
from infra.contract.evaluation import Gate, Operator
from infra.contract.problems import ConfigError
from infra.contract.release import Release
from infra.services.training import sources


@dataclass(frozen=True)
class Metric:
    """A metric of two releases, None where one has none; `gate` is the later one's gate on it, as `>= 0.85`.

    `better` is None where the two are equal or cannot be compared, and where no gate says which direction is better.
    """

    name: str
    before: float | None
    after: float | None
    gate: str | None
    better: bool | None


@dataclass(frozen=True)
class Commits:
    """The commits to the model's sources that come and that are taken back; `unknown` says why nobody knows them."""

    added: tuple[Commit, ...] = ()
    removed: tuple[Commit, ...] = ()
    unknown: str | None = None


@dataclass(frozen=True)
class ReleaseChange:
    """A model whose release changes; None: it serves nothing.

    `feedback_open` is what was said of the release after or of an earlier one and that it does not answer,
    `feedback_answered` what it answers and the one before does not.
    """

    model: str
    before: str | None
    after: str | None
    metrics: tuple[Metric, ...]
    requirements_added: tuple[str, ...]
    requirements_removed: tuple[str, ...]
    commits: Commits
    feedback_open: tuple[Noted, ...] = ()
    feedback_answered: tuple[Noted, ...] = ()


def compare(project: Project, checkout: Project, model: str, before: str | None, after: str | None) -> ReleaseChange:
    """Return how a model's releases differ; the project has the release files, the checkout the model and the history.

    What was applied once may have no file any more: then only the later release's own values are known.
    """
    old, new = _load(project, model, before), _load(project, model, after)
    before_open, after_open = (open_feedback(project, model, each) if each else () for each in (before, after))
    required_before, required = set(old.requirements if old else ()), set(new.requirements if new else ())
    return ReleaseChange(
        model,
        before,
        after,
        tuple(_metrics(old, new)) if new else (),
        tuple(sorted(required - required_before)) if new else (),
        tuple(sorted(required_before - required)) if new else (),
        _commits(checkout, model, old, new) if before and after else Commits(),
        tuple(map(noted, after_open)),
        tuple(noted(each) for each in before_open if after and each.answered_by and each not in after_open),
    )


def _load(project: Project, model: str, release: str | None) -> Release | None:
    if release is None or not project.releases.file(model, release).is_file():
        return None
    return project.releases.load(model, release)


def _metrics(old: Release | None, new: Release) -> list[Metric]:
    known = old.evaluation.metrics if old and old.evaluation else {}
    wanted = new.evaluation.metrics if new.evaluation else {}
    gates = {gate.metric: gate for gate in (new.evaluation.gates if new.evaluation else ())}
    # What the model is judged by comes first, as its document has it.
    names = [*(name for name in gates if name in wanted), *sorted({*known, *wanted} - set(gates))]
    return [_metric(name, known.get(name), wanted.get(name), gates.get(name)) for name in names]


def _metric(name: str, before: float | None, after: float | None, gate: Gate | None) -> Metric:
    shown = f"{gate.operator} {gate.threshold:g}" if gate else None
    if gate is None or before is None or after is None or before == after:
        return Metric(name, before, after, shown, None)
    higher = gate.operator in (Operator.AT_LEAST, Operator.MORE)
    return Metric(name, before, after, shown, (after > before) == higher)


def _commits(checkout: Project, model: str, old: Release | None, new: Release | None) -> Commits:
    """Return the commits between the ones that two releases were trained from."""
    ends = []
    for release in (old, new):
        if release is None:
            return Commits(unknown="a release file is absent")
        name = release.metadata.release
        if release.training is None:
            return Commits(unknown=f"{name} was imported")
        commit, _, difference = release.training.commit.partition("+")
        if commit in ("unknown", "uncommitted"):
            return Commits(unknown=f"{name} was trained from no known commit")
        ends.append((name, commit, difference))
    (_, older, _), (_, newer, _) = ends
    git, paths = Git(checkout.root), model_sources(checkout, model)
    added, removed = git.between(older, newer, paths), git.between(newer, older, paths)
    if added is None or removed is None:
        return Commits(unknown=f"{older[:12]} or {newer[:12]} is not in this checkout's history; run `git fetch`")
    changed = ", ".join(name for name, _, difference in ends if difference)
    return Commits(added, removed, f"{changed} had changes beside its commit" if changed else None)


def model_sources(checkout: Project, model: str) -> Sequence[str]:
    """Return what goes into the model's training image; its folder where the checkout has no such model any more."""
    try:
        return sources(model, checkout.models.load(model).framework)
    except ConfigError:
        return (f"models/{model}",)
