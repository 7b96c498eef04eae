"""The commands about who has which part in what, and who may do what in a cluster: roles, access."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from delivery.errors import DeliveryError
from delivery.terminal import Chosen, Environment, Json, answer, print_json, session

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


def access(
    context: typer.Context,
    environment: Environment,
    user: Annotated[str | None, typer.Option("--user", help="A user of the cluster who runs the environment.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="A group whose members run it.")] = None,
    account: Annotated[
        str | None, typer.Option("--service-account", help="A service account that runs it: <namespace>/<name>.")
    ] = None,
) -> None:
    """Print what the owner of a cluster makes, so that somebody who is no administrator runs the environment there."""
    import json

    from delivery.operations.access import SubjectKind
    from delivery.operations.access import access as operation

    kinds = {SubjectKind.USER: user, SubjectKind.GROUP: group, SubjectKind.SERVICE_ACCOUNT: account}
    given = [(kind, name) for kind, name in kinds.items() if name]
    if len(given) != 1:
        raise DeliveryError("say who runs the environment: exactly one of --user, --group and --service-account")
    # One document a line, as JSON, which is YAML.
    for made in operation(session(context), environment, *given[0]):
        typer.echo(f"---\n{json.dumps(made)}")


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
