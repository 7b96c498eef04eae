"""What the commands share: their options, where they print, how they ask and how they are interrupted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from delivery.session import Session

# Progress goes to standard error: standard output is the answer alone.
console = Console(stderr=True)
answer = Console(highlight=False)


def environment_names() -> list[str]:
    """Return the names of this checkout's environments, for the shell to complete."""
    from infra.contract.stacks import StackFiles
    from infra.values import ROOT

    return StackFiles(ROOT).names()


Model = Annotated[str, typer.Argument(help="Name of the model: its folder in models/.")]
Environment = Annotated[str, typer.Option("--env", help="The environment.", autocompletion=environment_names)]
Chosen = Annotated[
    str | None, typer.Option("--env", help="Default: each that has a stack.", autocompletion=environment_names)
]
Trainer = Annotated[
    str | None,
    typer.Option("--env", help="Where it is trained; default: the only one.", autocompletion=environment_names),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")]
Timeout = Annotated[
    float,
    typer.Option(min=1, help="Seconds from the start of the command until the endpoint must answer; else undone."),
]
OtherChanges = Annotated[
    bool, typer.Option("--allow-other-changes", help="Apply even what the preview changes besides this model.")
]
PullRequest = Annotated[
    bool,
    typer.Option("--pull-request", help="Preview, and open a pull request with the change instead of applying it."),
]


def session(context: typer.Context) -> "Session":
    """Return what the command works with; the command's entry, or a test, has given the function that makes it."""
    opened: Session = context.obj()
    return opened


def print_json(value: Any) -> None:
    """Print a value on standard output as JSON."""
    typer.echo(json.dumps(value, indent=1))


def confirm(environment: str, *, yes: bool = False) -> bool:
    """Return whether the user wants the change that was shown; `yes` answers for them."""
    return yes or typer.confirm(f"Apply this to {environment}?", err=True)


@contextmanager
def resumable() -> Iterator[None]:
    """Turn Ctrl-C into a message that says how to go on, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to go on")
        raise typer.Exit(130) from None
