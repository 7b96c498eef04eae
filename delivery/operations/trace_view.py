"""A trace as people read it in a terminal."""

from collections.abc import Iterator

from delivery.operations.chain import Chain, Item, Link, State, Trace

# What people read at a glance; `--json` has everything.
ITEMS = 10
_COLUMN = 14


def text(trace: Trace) -> Iterator[str]:
    """Yield the lines of a trace: a block for each chain."""
    yield f"{trace.asked}: {summary(trace)}"
    for chain in trace.chains:
        yield ""
        yield title(chain)
        for link in chain.links:
            yield from _link(link)


def summary(trace: Trace) -> str:
    """Return in a few words what came out."""
    wrong = sum(len(chain.contradictions) for chain in trace.chains)
    releases = ", ".join(chain.release or "nobody knows which release" for chain in trace.chains)
    return f"{releases}{f'; {wrong} contradictions' if wrong else ''}"


def title(chain: Chain) -> str:
    """Return what a chain is of."""
    where = f" in {chain.environment}" if chain.environment else ""
    return f"{chain.model} {chain.release or 'of an unknown release'}{where}"


def _link(link: Link) -> Iterator[str]:
    rows = [*map(item_line, link.items[:ITEMS])]
    if len(link.items) > ITEMS:
        rows.append(f"{len(link.items) - ITEMS} more")
    rows += [f"contradiction: {each}" for each in link.contradictions]
    if link.unknown:
        rows.append(f"{link.state if link.state is not State.CONTRADICTED else State.PARTLY}: {link.unknown}")
    if not rows:
        rows.append("none")
    rows[-1] += f"  [{link.record}]"
    for index, row in enumerate(rows):
        yield printable(f"  {link.kind if index == 0 else '':<{_COLUMN}}{row}")


def item_line(item: Item) -> str:
    """Return an item in one line."""
    return f"{item.name}  {item.about}".rstrip()


def printable(words: str) -> str:
    """Return a line without what a terminal or a page would take for more than text: people have written it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
