"""The commands about environments: init, env, status, drift."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from delivery.terminal import (
    Chosen,
    Json,
    Yes,
    answer,
    confirm,
    console,
    environment_names,
    print_json,
    resumable,
    session,
)

if TYPE_CHECKING:
    from delivery.project import Project

# What the store may have instead of a release's artefact.
_LOST = ("changed", "absent")


def init(
    context: typer.Context,
    environments: Annotated[
        list[str],
        typer.Argument(help="Environments, the registry's owner first.", autocompletion=environment_names),
    ],
    after: Annotated[
        str | None,
        typer.Option(
            help="A new one: write its stack file; it takes what this one has accepted.",
            autocompletion=environment_names,
        ),
    ] = None,
    team: Annotated[str | None, typer.Option(help="A new one: write its stack file; it is this team's.")] = None,
) -> None:
    """Make an environment's stack, certificate authority and encrypted credentials; keep what exists."""
    from delivery.operations.init import init as initialise
    from delivery.operations.new_environment import Wanted

    wanted = Wanted(after, team)
    if wanted != Wanted() and len(environments) > 1:
        raise typer.BadParameter("they are for one environment at a time", param_hint="--after, --team")
    for name in environments:
        initialise(session(context), name, console, wanted)


def env(context: typer.Context) -> None:
    """Print shell lines under which plain pulumi and kubectl work here: eval "$(stellwerk env)"."""
    for name, value in session(context).local.variables().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def status(context: typer.Context, json: Json = False) -> None:
    """Show releases per environment, and whether they answer and could come back; exit code 1 when one does not."""
    from delivery.operations.status import status as report_status

    work = session(context)
    report = report_status(work)
    if json:
        print_json(report)
    else:
        _print_status(report, work.project)
    raise typer.Exit(0 if all(_is_well(state) for _, _, state in _models(report)) else 1)


def _is_well(state: Mapping[str, Any]) -> bool:
    """Return whether a model answers and could come back, where it has a release at all."""
    return not state["release"] or (state["ready"] and state["artefact"] not in _LOST)


def _models(report: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield environment, model and state of each model of a status report."""
    for name, environment in report["environments"].items():
        for model, state in environment["models"].items():
            yield name, model, state


def _print_status(report: Mapping[str, Any], project: "Project") -> None:
    from delivery.operations.feedback import Noted

    table = Table("environment", "model", "release", "previous", "answers")
    for name, model, state in _models(report):
        answers = "[green]yes[/green]" if state["ready"] else f"[red]{state['answering'] or 'no'}[/red]"
        answers = answers if state["release"] else "no release yet"
        table.add_row(name, model, state["release"] or "-", state["previous"] or "-", answers)
    answer.print(table)
    for name, model, state in _models(report):
        answer.print(f"{model} in {name}: {state['url']}", soft_wrap=True)
        if state["reason"]:
            answer.print(f"  {state['reason']}", style="red", soft_wrap=True, markup=False)
        for said in state["feedback"]:
            answer.print(f"  open: {Noted(**said)}", soft_wrap=True, markup=False)
    for name, model, state in _models(report):
        if state["artefact"] in _LOST:
            action = (
                "`stellwerk train` again, after its job was deleted"
                if project.source(name) is None
                else f"`stellwerk promote {model} --to {name}` brings it again"
            )
            text = f"{model} in {name}: its artefact is {state['artefact']} in the object store: "
            answer.print(f"{text}a pod that restarts cannot come back; {action}", style="red", soft_wrap=True)


def drift(
    context: typer.Context,
    environment: Chosen = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put it back: preview, ask, apply.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Show what was deleted, changed or added by hand; exit code 2 when anything was. Only --repair changes it."""
    from delivery.operations import drift as drifts

    work = session(context)
    names = [work.project.files.require(environment)] if environment else drifts.applied(work)
    drifted = drifts.drift_of_all(work, names)
    if json:
        print_json({"environments": {name: [asdict(item) for item in items] for name, items in drifted.items()}})
    else:
        for name, items in drifted.items():
            answer.print("\n".join(f"{name}: {item}" for item in items) or f"{name}: no drift", soft_wrap=True)
    if not any(drifted.values()):
        return
    if not repair:
        raise typer.Exit(2)
    with resumable():
        for name in filter(drifted.get, drifted):
            drifts.repair(work, name, partial(confirm, name, yes=yes), console)
