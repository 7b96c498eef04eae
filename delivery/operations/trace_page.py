"""A trace as one HTML page that needs nothing else: each chain as a picture, and below it the same as a table."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from textwrap import wrap

from delivery.operations.chain import Chain, Item, Link, State, Trace
from delivery.operations.trace_view import item_line, printable, summary, title

_WIDTH, _LEFT, _LINE, _PAD, _GAP = 760, 130, 18, 10, 22
# So many letters of a line fit into a box, and so many lines are shown there: the table has everything.
_LETTERS, _LINES = 82, 3
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
_SIGNS = {State.PROVED: "✓", State.PARTLY: "◐", State.UNKNOWN: "?", State.NONE: "-", State.CONTRADICTED: "✗"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #57606a; --box: #f6f8fa;
  --proved: #1a7f37; --doubt: #6e5a00; --wrong: #b42318; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #9198a1; --box: #161b22;
  --proved: #4ac26b; --doubt: #d4a72c; --wrong: #ff7b72; --link: #79c0ff; } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
a { color: var(--link); }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .4rem .6rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 1.2rem; }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .kind { font-weight: 600; }
svg rect { fill: var(--box); stroke: var(--line); } svg path { stroke: var(--line); fill: none; }
svg .proved { fill: var(--proved); } svg .doubt { fill: var(--doubt); } svg .wrong { fill: var(--wrong); }
svg rect.wrong { fill: var(--box); stroke: var(--wrong); stroke-width: 2; }
td.wrong { color: var(--wrong); } td.doubt { color: var(--doubt); } td.proved { color: var(--proved); }
"""


def page(trace: Trace) -> str:
    """Return the page; it is XML, too, and loads nothing from anywhere."""
    name = _safe(trace.asked)
    body = "\n".join(part for number, chain in enumerate(trace.chains) for part in _chain(chain, number))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="{policy}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>Trace of {_safe(trace.model)}: {name}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p>{_safe(summary(trace))}</p>
{body}
</main>
</body>
</html>
"""


def _chain(chain: Chain, number: int) -> Iterator[str]:
    yield f'<section aria-labelledby="chain-{number}">\n<h2 id="chain-{number}">{_safe(title(chain))}</h2>'
    yield _picture(chain, number)
    yield '<table>\n<thead><tr><th scope="col">link</th><th scope="col">state</th><th scope="col">what</th>'
    yield '<th scope="col">record</th></tr></thead>\n<tbody>'
    for link in chain.links:
        items = "".join(f"<li>{each}</li>" for each in _entries(link))
        what = f"<ul>{items}</ul>" if items else "none"
        state = f'<td class="{_class(link)}">{_SIGNS[link.state]} {_safe(link.state)}</td>'
        yield f'<tr><th scope="row">{_safe(link.kind)}</th>{state}<td>{what}</td><td>{_safe(link.record)}</td></tr>'
    yield "</tbody>\n</table>\n</section>"


def _entries(link: Link) -> Iterator[str]:
    """Yield everything about a link, for the table."""
    for item in link.items:
        yield f"{_name(item)} {_safe(item.about)}"
    yield from (f"<strong>contradiction:</strong> {_safe(each)}" for each in link.contradictions)
    if link.unknown:
        yield f"not looked at: {_safe(link.unknown)}"


def _name(item: Item) -> str:
    name = _safe(item.name)
    return f'<a href="{_safe(item.url)}" rel="noreferrer">{name}</a>' if item.url else name


def _picture(chain: Chain, number: int) -> str:
    """Return the chain as boxes from top to bottom, each with what it names."""
    parts, top = [], 0
    for index, link in enumerate(chain.links):
        rows = _rows(link)
        height = 2 * _PAD + _LINE * len(rows)
        if index:
            parts.append(f'<path d="M{_LEFT + 40} {top - _GAP}v{_GAP - 2}m-5 -6l5 6l5 -6"/>')
        parts.append(_box(link, rows, top, height))
        top += height + _GAP
    words = "; ".join(f"{link.kind}: {link.state}" for link in chain.links)
    name = f"picture-{number}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top - _GAP + 2}" role="img" '
        f'aria-labelledby="{name} {name}-words">\n<title id="{name}">The chain of {_safe(title(chain))}</title>\n'
        f'<desc id="{name}-words">From top to bottom: {_safe(words)}. The table below says the same.</desc>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _box(link: Link, rows: Sequence[str], top: int, height: int) -> str:
    mark = ' class="wrong"' if link.contradictions else ""
    lines = "".join(
        f'<text x="{_LEFT + _PAD}" y="{top + _PAD + 13 + index * _LINE}">{_safe(row)}</text>'
        for index, row in enumerate(rows)
    )
    first = top + _PAD + 13
    return (
        f'<text class="{_class(link)}" x="2" y="{first}">{_SIGNS[link.state]}</text>'
        f'<text class="kind" x="20" y="{first}">{_safe(link.kind)}</text>'
        f'<rect{mark} x="{_LEFT}" y="{top + 1}" width="{_WIDTH - _LEFT - 2}" height="{height}" rx="6"/>{lines}'
    )


def _rows(link: Link) -> list[str]:
    """Return the lines in the box of a link: what contradicts first and whole, for nobody is to miss it."""
    wrong = [row for each in link.contradictions for row in wrap(f"contradiction: {_short(each)}", _LETTERS)]
    rows = [item_line(item) for item in link.items]
    if link.unknown:
        rows.append(f"not looked at: {link.unknown}")
    if len(rows) > _LINES:
        rows[_LINES - 1 :] = [f"and {len(rows) - _LINES + 1} more, see the table"]
    cut = (row if len(row) <= _LETTERS else f"{row[: _LETTERS - 1]}…" for row in map(_short, rows))
    return [*wrong, *cut] or ["none"]


def _short(row: str) -> str:
    """Return a line with the beginnings of the digests in it."""
    return _DIGEST.sub(r"\1…", row)


def _class(link: Link) -> str:
    if link.state is State.CONTRADICTED:
        return "wrong"
    return "proved" if link.state is State.PROVED else "doubt"


def _safe(words: str) -> str:
    """Return words that stand in a page as they are: no tag, no end of an attribute, no control character."""
    return escape(printable(words))
