"""The commands that CI runs, and the one that writes its workflows: ci preview, export, drift, comment and setup."""

from pathlib import Path
from typing import Annotated

import typer

from delivery.errors import DeliveryError
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


@ci_app.command("setup")
def setup(
    context: typer.Context,
    forge: Annotated[str, typer.Argument(help="Whose CI runs them: github, gitlab, bitbucket or bamboo.")],
    force: Annotated[bool, typer.Option("--force", help="Write files that were edited by hand as well.")] = False,
) -> None:
    """Write the workflows for this checkout's environments and models; exit code 1 where a file was edited by hand."""
    from delivery.operations import workflows

    made = workflows.setup(session(context).project, forge, force=force)
    for each in made:
        answer.print(f"{each.file}: {each.change}", soft_wrap=True, markup=False)
    waiting = [each for each in made if each.change.waits]
    for each in waiting:
        console.print(each.difference, soft_wrap=True, highlight=False, markup=False)
    if waiting:
        action = "take it in by hand, with its first line, or let --force overwrite the files"
        console.print(f"what differs stands above, and was left as it is: {action}", soft_wrap=True, highlight=False)
    raise typer.Exit(1 if waiting else 0)


@ci_app.command("drift")
def drift(
    context: typer.Context,
    environment: Annotated[str, typer.Argument(help="The environment.", autocompletion=environment_names)],
) -> None:
    """Compare what runs with the state, and keep one issue that says what differs; exit code 2 when there is none."""
    from delivery.clients.forges import forge
    from delivery.operations.drift import drift as compare
    from delivery.operations.drift_issue import Drift, report

    work = session(context)
    items = compare(work, work.project.files.require(environment))
    answer.print("\n".join(f"{environment}: {item}" for item in items) or f"{environment}: no drift", soft_wrap=True)
    try:
        host = forge(work.project.root, work.project.forge, work.variables)
    except DeliveryError as error:
        reason = str(error)
    else:
        if host.has_issues:
            done = report(host, Drift(environment, items, work.clock.time()))
            console.print(f"{environment}: {done}", soft_wrap=True, highlight=False, markup=False)
            return
        reason = f"{host.name} keeps no issues"
    console.print(f"{environment}: no issue says so: {reason}", soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(2 if items else 0)


@ci_app.command("comment")
def comment(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The pull request.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `ci preview` has written.")],
) -> None:
    """Post what a fork's preview has written, which had no right to: as text, whatever it says."""
    from delivery.clients.forges import forge
    from delivery.operations.fork_comment import post

    work = session(context)
    host = forge(work.project.root, work.project.forge, work.variables)
    answer.print(post(host, number, file), soft_wrap=True, markup=False)
