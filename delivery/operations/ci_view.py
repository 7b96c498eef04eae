"""A preview of a change as the one comment on its pull request, and as results of checks of its commit."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from delivery.clients.forges import connect
from delivery.clients.forges.forge import Forge
from delivery.clients.forges.origin import origin
from delivery.errors import system_errors
from delivery.operations import plan_view
from delivery.operations.ci_preview import Looked, Preview, checks
from delivery.operations.plan import Report
from delivery.session import Session

MARKER = "preview"
_FENCE = re.compile(r"`{3,}")
# Where a pipeline says which pull request it runs for, by kind of pipeline.
_NUMBERS = {
    "GITHUB_REF": re.compile(r"refs/pull/([0-9]+)/.*"),
    "CI_MERGE_REQUEST_IID": re.compile(r"([0-9]+)"),
    "BITBUCKET_PR_ID": re.compile(r"([0-9]+)"),
    "bamboo_repository_pr_key": re.compile(r"([0-9]+)"),
}


def pull_request(variables: Mapping[str, str]) -> int | None:
    """Return the number of the pull request that a pipeline runs for; None where it runs for none."""
    matches = (pattern.fullmatch(variables.get(name, "")) for name, pattern in _NUMBERS.items())
    return next((int(match[1]) for match in matches if match), None)


def comment(preview: Preview) -> str:
    """Return the whole comment in Markdown; what people have written stands in code, and is inert."""
    return "\n".join(_lines(preview)) + "\n"


def _lines(preview: Preview) -> Iterator[str]:
    change = preview.touched
    yield "## Preview of this change"
    yield ""
    if not (preview.environments or preview.refusals):
        yield "It touches no environment."
    else:
        yield from ("| environment | what an update would do |", "|---|---|")
        yield from (f"| `{each.environment}` | {_verdict(each)} |" for each in preview.environments)
        yield from (f"| | **refused**: `{each.document}` |" for each in preview.refusals)
    for each in preview.environments:
        if each.refused:
            yield from ("", f"### {each.environment}: refused", "", *_quoted(each.refused))
    for refusal in preview.refusals:
        yield from ("", f"### `{refusal.document}`: refused", "", *_quoted(refusal.why))
    unchecked = list(_unchecked(preview))
    if unchecked:
        yield from ("", "### Not checked", "", *unchecked)
    for each in preview.environments:
        if each.report and _says_something(each.report):
            yield from ("", *plan_view.markdown(each.report))
    yield from ("", f"_Commit {change.head[:12]}, compared with {change.base[:12]}._")


def _says_something(report: Report) -> bool:
    """Return whether a plan says more than that there is nothing to do: nodes of others cost, too."""
    return not report.is_empty or (report.cost is not None and report.cost.before != report.cost.after)


def _verdict(looked: Looked) -> str:
    if looked.report:
        return plan_view.summary(looked.report)
    return "**refused**" if looked.refused else "not looked at"


def _unchecked(preview: Preview) -> Iterator[str]:
    """Yield what nobody has looked at, an item of a list each."""
    for each in preview.environments:
        if each.unknown:
            yield from (f"- `{each.environment}` was not looked at:", "", *_quoted(each.unknown, "  "), "")
    offline = [each for each in preview.environments if each.last]
    for each in offline:
        last = each.last
        if last and last.exported:
            of = f" of commit {last.commit[:12]}" if last.commit else ""
            yield f"- `{each.environment}` was compared with its state{of}, exported {last.exported} UTC."
        else:
            yield f"- `{each.environment}` is new: it was compared with nothing."
    if offline:
        yield "- The cluster was not asked: what was changed by hand, what it refuses, whether pods fit and start."
        yield "- Secret values were taken to be unchanged."


def _quoted(text: str, indent: str = "") -> list[str]:
    """Return a text as a block of code that nothing in it ends."""
    longest = max((len(match) for match in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{indent}{line}" for line in (f"{fence}text", *text.splitlines(), fence)]


def cut(text: str, limit: int) -> str:
    """Return a comment of at most `limit` characters: its first lines, and how many more there are.

    Raise ValueError where the limit leaves no room for that.
    """
    if len(text) <= limit:
        return text
    lines = text.splitlines()
    # From the beginning so many that the rest is certain to fit, for a block of code may have to be ended.
    room, kept = limit - len(_cut(len(lines))) - max(map(len, _FENCE.findall(text)), default=0) - 4, 0
    if room < 0:
        raise ValueError(f"a comment of {limit} characters has no room for a word")
    while room - len(lines[kept]) - 1 >= 0:
        room -= len(lines[kept]) + 1
        kept += 1
    head = lines[:kept]
    return "\n".join([*head, *_ends(head), "", _cut(len(lines) - kept), ""])


def _cut(lines: int) -> str:
    return (
        f"_Cut here: {lines} more lines are in the whole comment, an artefact of the run that has made this preview._"
    )


def _ends(lines: Sequence[str]) -> list[str]:
    """Return the fence that ends a block of code which the lines leave open, if they do."""
    fence = ""
    for line in map(str.strip, lines):
        if fence and line == fence:
            fence = ""
        elif not fence and (match := _FENCE.match(line)):
            fence = match[0]
    return [fence] if fence else []


def write(text: str, file: Path) -> None:
    """Write a comment into a file."""
    with system_errors("writing the comment", "name another file with --output"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def forge_with_token(session: Session) -> Forge | None:
    """Return the forge of the checkout; None where no token for it is set, as in the pipeline of a fork.

    Raise DeliveryError where nothing says which forge and repository it is.
    """
    place = origin(session.project.root, session.project.forge, session.variables)
    return connect(place, session.variables) if session.variables.get(place.variable, "").strip() else None


def post(forge: Forge, number: int, made: Preview) -> str:
    """Write the one comment of a pull request, or change it, and set the check results; return the comment's URL."""
    url = forge.comment(number, MARKER, cut(comment(made), forge.comment_limit))
    for each in checks(made):
        forge.check(made.touched.head, each)
    return url
