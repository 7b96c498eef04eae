"""The commands that compare: plan (an environment with what would be applied) and diff (two environments)."""

from dataclasses import asdict
from typing import Annotated

import typer

from delivery.terminal import Json, answer, environment_names, print_json, session

Named = Annotated[str, typer.Argument(help="The environment.", autocompletion=environment_names)]


def plan(
    context: typer.Context,
    environment: Named,
    from_git: Annotated[
        str | None,
        typer.Option(metavar="REV", help="With stacks/ as of this commit, branch or tag; default: as it is here."),
    ] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="For the comment on a pull request.")] = False,
) -> None:
    """Show what `pulumi up` would do: releases, metrics, commits, what is replaced or restarted and why, the cost."""
    from delivery.operations import plan_view
    from delivery.operations.plan import plan as make_plan

    if json and markdown:
        raise typer.BadParameter("they exclude each other", param_hint="--json, --markdown")
    report = make_plan(session(context), environment, from_git)
    if json:
        print_json(asdict(report))
        return
    lines = (plan_view.markdown if markdown else plan_view.text)(report)
    if markdown:
        typer.echo("\n".join(lines))
    else:
        answer.print("\n".join(lines), soft_wrap=True, markup=False)
