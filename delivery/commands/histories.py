"""The commands about what has become of a model's releases: history."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.table import Column, Table

from delivery.terminal import Chosen, Json, Model, answer, print_json, session

if TYPE_CHECKING:
    from delivery.operations.history import Entry, History


def history(context: typer.Context, model: Model, environment: Chosen = None, json: Json = False) -> None:
    """Show how the release of a model has changed: who, when, which commit, how long; by git and by the stacks."""
    from delivery.operations.history import history as read_history

    made = read_history(session(context), model, environment)
    if json:
        print_json(asdict(made))
    else:
        _print(made)


def _print(made: "History") -> None:
    table = Table(Column("when", no_wrap=True), "environment", "release", "by", "commit", "seconds", "result")
    for entry in made.entries:
        seconds = "-" if entry.seconds is None else f"{entry.seconds:.0f}"
        # By minute and by name: what is more exact is in the JSON.
        when, by = entry.time[:16].replace("T", " "), (entry.by or "-").partition(" <")[0]
        said = (_moves(entry), by, (entry.commit or "-")[:12], seconds, entry.disagrees or "in both")
        table.add_row(when, entry.environment, *said)
    answer.print(table, markup=False)
    for state in made.now:
        answer.print(f"{state.environment}: {state.disagrees or _agrees(state.applied)}", soft_wrap=True, markup=False)
    if made.shallow:
        answer.print("git's history is cut off here: `git fetch --unshallow` brings the rest", soft_wrap=True)


def _moves(entry: "Entry") -> str:
    return f"{entry.before or 'no release'} → {entry.after or ('?' if entry.result == 'killed' else 'no release')}"


def _agrees(release: str | None) -> str:
    return f"file, commit and stack agree: {release or 'no release'}"
