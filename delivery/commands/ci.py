"""The commands that CI runs: ci preview and ci export."""

from pathlib import Path
from typing import Annotated

import typer

from delivery.terminal import answer, console, environment_names, session

ci_app = typer.Typer(help="What CI runs: previews, drift, and the workflows that run them.", no_args_is_help=True)


@ci_app.command("preview")
def preview(
    context: typer.Context,
    base: Annotated[str, typer.Option(metavar="REV", help="What the change is to be merged into.")],
    head: Annotated[str, typer.Option(metavar="REV", help="The change's last commit, which is checked out.")] = "HEAD",
    states: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Compare with what `ci export` has written, not with the stacks; default without a backend: state.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole comment; default: standard output.")
    ] = None,
) -> None:
    """Say on a pull request what it would do to each environment; exit code 3: refused, 4: not looked at."""
    from delivery.operations import ci_preview, ci_view

    work = session(context)
    made = ci_preview.preview(work, base, head, ci_preview.source(work, states))
    text = ci_view.comment(made)
    if output is not None:
        ci_view.write(text, output)
    number = ci_view.pull_request(work.variables)
    host = None if number is None else ci_view.forge_with_token(work)
    if number is not None and host is not None:
        console.print(f"the comment: {ci_view.post(host, number, made)}", soft_wrap=True, highlight=False, markup=False)
    elif output is None:
        typer.echo(text, nl=False)
    raise typer.Exit(made.exit_code)


@ci_app.command("export")
def export(
    context: typer.Context,
    environment: Annotated[str, typer.Argument(help="The environment.", autocompletion=environment_names)],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where its state is written, as <env>.json.")],
) -> None:
    """Write the last state of an environment without any secret value, for previews that have no credentials."""
    from delivery.operations.exported_state import export as write

    answer.print(str(write(session(context), environment, output)), soft_wrap=True, markup=False)
