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
    """Show what `pulumi up` would do: releases, metrics, commits, what restarts and why, the cost, whether it fits."""
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


def diff(
    context: typer.Context,
    first: Named,
    second: Named,
    json: Json = False,
) -> None:
    """Show every difference between the values of two environments; exit code 1 when one is not intended."""
    from delivery.operations.differences import differences
    from infra.contract.differences import FILE
    from infra.contract.problems import show

    made = differences(session(context).project, first, second)
    unintended = [each for each in made if not each.intended]
    if json:
        listed = [{**asdict(each), "intended": each.intended} for each in made]
        print_json({"environments": [first, second], "differences": listed})
    else:
        for each in made:
            sides = (f"{name} {show(value)}" for name, value in each.values.items())
            verdict = f"intended: {each.reason}" if each.intended else "not intended"
            absent = (f"{name} has no such key" for name in (first, second) if name not in each.values)
            answer.print(f"{each.key}: {', '.join((*sides, *absent))} ({verdict})", soft_wrap=True, markup=False)
        answer.print(f"{len(made)} differences, {len(unintended)} of them not intended")
        if unintended:
            answer.print(f"make the values equal, or say in {FILE} why they differ", soft_wrap=True)
    raise typer.Exit(1 if unintended else 0)
