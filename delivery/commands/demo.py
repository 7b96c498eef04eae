"""The command that shows everything: demo."""

from typing import Annotated

import typer
from rich.console import Console

from delivery.terminal import resumable, session


def demo(
    context: typer.Context,
    models: Annotated[
        list[str], typer.Argument(help="Names of models: the first is trained twice and rolled back, the others once.")
    ],
    first: Annotated[
        list[str] | None,
        typer.Option(help="A hyperparameter of the first model's first, worse training, key=value; repeatable."),
    ] = None,
) -> None:
    """Make everything from nothing: cluster, environments, train, release, promote, predict, roll back."""
    from delivery.operations.demo import run

    with resumable():
        # What the session's variables name is made first; the session of the demo then has them all.
        session(context).local.variables()
        run(session(context), Console(), models, first or [])
