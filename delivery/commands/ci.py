"""The commands that CI runs, and the one that writes its workflows: ci setup."""

from typing import Annotated

import typer

from delivery.terminal import answer, console, session

ci_app = typer.Typer(help="What CI runs: previews, drift, and the workflows that run them.", no_args_is_help=True)


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
