"""A plan as people read it: as text, and as Markdown for the comment on a pull request."""

from collections import Counter
from collections.abc import Iterator, Sequence

from delivery.clients.git import Commit
from delivery.operations.changes import Action, Change
from delivery.operations.fit import Fit
from delivery.operations.plan import Cost, Report
from delivery.operations.release_change import Metric, ReleaseChange

_WORDS = {
    Action.DELETE: "deleted",
    Action.REPLACE: "replaced",
    Action.RESTART: "restarted",
    Action.SCALE: "scaled",
    Action.UPDATE: "updated in place",
    Action.CREATE: "created",
}
# What people read at a glance; `--json` has everything.
_PATHS, _COMMITS, _PLACEMENTS = 3, 10, 4


def text(report: Report) -> Iterator[str]:
    """Yield the lines of a plan for a terminal."""
    yield f"{_title(report)}: {summary(report)}"
    for model in report.models:
        yield f"{model.model}: {_pointer(model)}"
        yield from (f"  {line}" for line in _about(model))
        yield from (f"  {line}" for line in _history(model.commits.added, "+"))
        yield from (f"  {line}" for line in _history(model.commits.removed, "-"))
    for change in report.changes:
        why = f": {_why(change)}" if _why(change) else ""
        yield f"{_WORDS[change.action]:<16}  {change}{why}"
    if report.cost:
        yield f"cost per hour: {_cost(report.cost)}"
    if report.fit:
        yield from (f"{verdict}: {about}" for verdict, about in _fit(report.fit))


def markdown(report: Report) -> Iterator[str]:
    """Yield the lines of a plan in GitHub's Markdown; what people have written stands in code spans, and is inert."""
    yield f"### {_title(report)}: {summary(report)}"
    if report.models:
        yield from ("", "| model | release | what differs |", "|---|---|---|")
        for model in report.models:
            about = "<br>".join(map(_code, _about(model)))
            yield f"| {_code(model.model)} | {_code(_pointer(model))} | {about} |"
    for model in report.models:
        lines = [*_history(model.commits.added, "+"), *_history(model.commits.removed, "-")]
        if lines:
            yield from ("", f"Commits of {_code(model.model)}:", "", *(f"- {_code(line)}" for line in lines))
    if report.changes:
        yield from ("", "| | what | why |", "|---|---|---|")
        for change in report.changes:
            why = _code(_why(change)) if _why(change) else ""
            yield f"| **{_WORDS[change.action]}** | {_code(str(change))} | {why} |"
    if report.cost:
        yield from ("", f"Cost per hour: {_cost(report.cost)}")
    if report.fit:
        yield ""
        yield from (f"- **{verdict}**: {_code(about)}" for verdict, about in _fit(report.fit))


def _title(report: Report) -> str:
    return report.environment + (f" at {report.revision[:12]}" if report.revision else "")


def summary(report: Report) -> str:
    """Return how many objects a plan does what to."""
    if report.is_empty:
        return "nothing to do"
    counts = Counter(change.action for change in report.changes)
    return ", ".join(f"{counts[action]} {_WORDS[action]}" for action in Action if action in counts) or "only releases"


def _pointer(model: ReleaseChange) -> str:
    return f"{model.before or 'no release'} → {model.after or 'no release'}"


def _about(model: ReleaseChange) -> Iterator[str]:
    yield from map(_metric, model.metrics)
    required = [
        *(f"+{name}" for name in model.requirements_added),
        *(f"-{name}" for name in model.requirements_removed),
    ]
    if required:
        yield f"requirements {' '.join(required)}"
    yield from (f"answers {each}" for each in model.feedback_answered)
    yield from (f"open: {each}" for each in model.feedback_open)
    if model.commits.unknown:
        yield f"commits: {model.commits.unknown}"


def _metric(metric: Metric) -> str:
    if metric.before is None or metric.after is None:
        sides = (_number(metric.before), _number(metric.after))
        said = f"{metric.name} {' → '.join(sides) if metric.before is not None else sides[1]}"
    else:
        said = f"{metric.name} {metric.before:.4f} → {metric.after:.4f} ({metric.after - metric.before:+.4f})"
    verdict = {True: "better", False: "worse", None: ""}[metric.better]
    gate = f"gate {metric.gate}" if metric.gate else ""
    more = ", ".join(filter(None, (verdict, gate)))
    return f"{said}, {more}" if more else said


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _history(commits: Sequence[Commit], sign: str) -> Iterator[str]:
    for commit in commits[:_COMMITS]:
        yield f"{sign} {commit.id[:12]} {commit.subject}"
    if len(commits) > _COMMITS:
        yield f"{sign} {len(commits) - _COMMITS} more"


def _why(change: Change) -> str:
    paths = change.because
    more = f" and {len(paths) - _PATHS} more" if len(paths) > _PATHS else ""
    lost = "its data is lost" if change.loses_data else ""
    return "; ".join(filter(None, (", ".join(paths[:_PATHS]) + more, lost)))


def _cost(cost: Cost) -> str:
    before = "unknown" if cost.before is None else f"{cost.before:.2f}"
    change = "" if cost.before is None else f" ({cost.after - cost.before:+.2f})"
    unpriced = f"; without a price: {', '.join(cost.unpriced)}" if cost.unpriced else ""
    more = f"; elastic pools add up to {cost.more:.2f}" if cost.more else ""
    return f"{before} → {cost.after:.2f}{change}{more}{unpriced}"


def _fit(fit: Fit) -> Iterator[tuple[str, str]]:
    """Yield the verdicts: all that fits in one line, then what does not, and what nobody has looked at."""
    fitting = [each for each in fit.placements if each.fits]
    if fitting:
        pods, named = sum(each.pods for each in fitting), ", ".join(map(str, fitting[:_PLACEMENTS]))
        more = f" and {len(fitting) - _PLACEMENTS} more" if len(fitting) > _PLACEMENTS else ""
        yield "fits", f"{pods} {'pod' if pods == 1 else 'pods'} of {named}{more}"
    for each in fit.placements:
        if not each.fits:
            yield "does not fit", f"{each}: {each.placed} of {each.pods} pods fit; {'; '.join(each.why)}"
    for reason in fit.unseen:
        yield "fits is not known" if not fit.placements else "not looked at", reason


def _code(words: str) -> str:
    """Return words as a code span of a table's cell: no mention, link, HTML or column comes of them."""
    inert = words.replace("`", "'").replace("|", "\\|")
    return f"`{' '.join(inert.split())}`"
