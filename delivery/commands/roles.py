"""The command about who has which part in what: roles."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from delivery.terminal import Chosen, Json, answer, print_json, session

if TYPE_CHECKING:
    from delivery.operations.roles import Roles


def roles(
    context: typer.Context,
    environment: Chosen = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with CODEOWNERS, environment protection and RBAC.")
    ] = False,
    json: Json = False,
) -> None:
    """Show who is responsible, accountable, consulted and informed; with --check exit code 2 where others may do it."""
    from delivery.clients.forges import forge
    from delivery.operations import roles as operation

    work = session(context)
    if check:
        made = operation.checked(
            work, environment, lambda: forge(work.project.root, work.project.forge, work.variables)
        )  # fmt: skip
    else:
        made = operation.roles(work, environment)
    if json:
        print_json(asdict(made))
    else:
        _print(made)
    raise typer.Exit(2 if made.contradictions else 0)


def _print(made: "Roles") -> None:
    table = Table("environment", "step", "responsible", "accountable", "consulted", "informed")
    for part in made.parts:
        lists = [", ".join(each or ()) or "-" for each in (part.responsible, part.consulted, part.informed)]
        table.add_row(part.environment, part.step, lists[0], part.accountable or "-", *lists[1:])
    answer.print(table)
    for each in made.contradictions:
        text = f"{each.environment}, {each.step}: {each.place}: {each.text}"
        answer.print(text, style="red", soft_wrap=True, markup=False)
    for reason in made.unchecked:
        answer.print(f"not checked: {reason}", soft_wrap=True, markup=False)
