"""The command about the team's documents: migrate."""

from difflib import unified_diff
from typing import Annotated

import typer

from delivery.terminal import Yes, answer, console, session


def migrate(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 2 when something would be.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Bring stack files and models to the form that this version reads: show the difference, ask, write."""
    from delivery.operations import migrate as migrations

    root = session(context).project.root
    pending = migrations.changes(root)
    for change in pending:
        answer.print("\n".join(f"{change.name}: {reason}" for reason in change.reasons), soft_wrap=True, markup=False)
        lines = unified_diff(
            change.before.splitlines(), change.after.splitlines(), change.name, change.name, "", "", 1, ""
        )
        answer.print("\n".join(lines), soft_wrap=True, markup=False)
    if not pending:
        answer.print("all files have today's form")
    elif check:
        raise typer.Exit(2)
    elif yes or typer.confirm("Write these files?", err=True):
        migrations.apply(pending, root)
        console.print("written; `pulumi preview` shows what they mean, which is nothing else than before")
