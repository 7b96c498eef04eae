"""`stellwerk migrate`: brings the team's files to the form that this version reads, and every other character stays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from delivery import stackfile
from delivery.document import MAPPING, Document, Node, leaves, load
from delivery.errors import DeliveryError
from infra.contract.migrations import MODEL, STACK_FILE, Migration, migrate
from infra.contract.model import FILE
from infra.contract.problems import read_text

# Releases and evidence are immutable: older ones stay readable as they are.
_CHAINS: tuple[tuple[str, Sequence[Migration]], ...] = (
    ("stacks/Pulumi.*.yaml", STACK_FILE),
    (f"models/*/{FILE}", MODEL),
)


@dataclass(frozen=True)
class Change:
    """A file that has an older form: its name, what changes and why, its text before and after."""

    name: str
    reasons: tuple[str, ...]
    before: str
    after: str


def changes(root: Path) -> list[Change]:
    """Return what has to change, and change nothing; raise DeliveryError naming a file that cannot be migrated."""
    files = [(file, chain) for pattern, chain in _CHAINS for file in sorted(root.glob(pattern))]
    return [change for file, chain in files for change in _change(file, file.relative_to(root).as_posix(), chain)]


def apply(pending: Sequence[Change], root: Path) -> None:
    """Write the files; raise DeliveryError when one has changed since it was read."""
    for change in pending:
        if read_text(root / change.name, change.name) != change.before:
            raise DeliveryError(f"{change.name}: it has changed meanwhile and stays as it is; run the command again")
        stackfile.write(root / change.name, change.name, change.after)


def _change(file: Path, name: str, chain: Sequence[Migration]) -> Iterator[Change]:
    text = read_text(file, name)
    document = Document(text, name)
    wanted, reasons = migrate(document.tree, chain)
    if not reasons:
        return
    _edit(document, document.root, document.tree, wanted)
    after = document.edited()
    if leaves(load(after, name)) != leaves(wanted):
        raise DeliveryError(
            f"{name}: {'; '.join(reasons)}: the file is written in a way that does not allow this edit alone; write "
            "what is shared by an anchor (`&`, `*` or `<<:`) out, or make the change by hand"
        )
    yield Change(name, tuple(reasons), text, after)


def _edit(document: Document, node: Node, before: Any, after: Any) -> None:
    """Remove the keys that only `before` has, add those that only `after` has, each behind the one before it.

    One that comes in the place of another is written over it. What is merged in or shared is left to be noticed.
    """
    if before and after and (old := next(iter(before))) not in after and (new := next(iter(after))) not in before:
        pair = node.find(str(old))
        if pair is not None:
            document.rename(pair, str(new), str(after[new]))
        before = {key: value for key, value in before.items() if key != old}
        after = {key: value for key, value in after.items() if key != new}
    for key, value in before.items():
        pair = node.find(str(key))
        if pair is None:
            continue
        if key not in after:
            document.remove(node, pair)
        elif isinstance(value, dict) and pair[1].kind == MAPPING:
            _edit(document, pair[1], value, after[key])
    for previous, key in pairwise(after):
        pair = node.find(str(previous))
        if key not in before and pair is not None:
            document.insert(node, pair, str(key), str(after[key]))
