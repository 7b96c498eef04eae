"""The commands about what the engine knows: orphans, state check, state repair, state restore."""

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from delivery.terminal import Chosen, Environment, Json, Yes, answer, confirm, console, print_json, session


def orphans(
    context: typer.Context,
    environment: Chosen = None,
    remove: Annotated[bool, typer.Option("--remove", help="Delete them: show, ask, delete.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Show what a killed update has left, and no other one takes over; exit code 2 when it has left something.

    Such objects carry the environment's labels, and are neither in its state nor declared. Change nothing without
    --remove.
    """
    from delivery.operations import orphans as operation
    from delivery.operations.drift import applied

    work = session(context)
    names = [work.project.files.require(environment)] if environment else applied(work)
    left = {name: operation.orphans(work, name) for name in names}
    if json:
        print_json({"environments": {name: [asdict(item) for item in items] for name, items in left.items()}})
    else:
        for name, items in left.items():
            answer.print("\n".join(f"{name}: {item}" for item in items) or f"{name}: no orphans", soft_wrap=True)
            if holder := work.backend.holder(name):
                answer.print(f"{name}: an update runs ({holder}); look again when it has ended", soft_wrap=True)
    if not any(left.values()):
        return
    if not remove:
        raise typer.Exit(2)
    for name in filter(left.get, left):
        operation.remove(work, name, left[name], partial(confirm, name, yes=yes), console)


state_app = typer.Typer(help="Whether an environment's state is whole, and how it becomes so again.")


@state_app.command("check")
def state_check(context: typer.Context, environment: Chosen = None, json: Json = False) -> None:
    """Look for what is wrong with a state: locks, pending operations, references; exit code 2 when something is."""
    from delivery.operations import integrity

    work = session(context)
    names = [work.project.files.require(environment)] if environment else integrity.stacks(work)
    reports = {name: integrity.check(work, name) for name in names}
    if json:
        print_json({"environments": {name: asdict(report) for name, report in reports.items()}})
    else:
        for name, report in reports.items():
            newest = f", the newest of {_shown(report.newest)}" if report.newest else ""
            count = f"{report.resources} resources, {report.backups} backups{newest}"
            lines = [f"{name}: {'' if report.findings else 'well, '}{count}"]
            if report.running:
                lines.append(f"{name}: an update runs ({report.running})")
            lines += [f"{name}: {finding}" for finding in report.findings]
            answer.print("\n".join(lines), soft_wrap=True, markup=False)
    if any(report.findings for report in reports.values()):
        raise typer.Exit(2)


@state_app.command("repair")
def state_repair(context: typer.Context, environment: Environment, yes: Yes = False) -> None:
    """Clear pending operations and references to what is not there: show, ask, keep the state as it was, repair."""
    from delivery.operations.states import repair

    work = session(context)
    name = work.project.files.require(environment)
    repair(work, name, partial(confirm, name, yes=yes), console)


@state_app.command("restore")
def state_restore(
    context: typer.Context,
    environment: Environment,
    listed: Annotated[bool, typer.Option("--list", help="Show the backups, and change nothing.")] = False,
    until: Annotated[
        datetime | None, typer.Option("--to", help="The newest backup that is no younger; default: the last other one.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Take a state that was kept in the place of the one of now: show the difference, ask, take it."""
    from delivery.clients.snapshots import Snapshots
    from delivery.operations import states

    work = session(context)
    name = work.project.files.require(environment)
    snapshots = Snapshots(work.engine, name)
    if listed:
        table = Table("kept", "file")
        for backup in snapshots.backups():
            table.add_row(_shown(backup.moment), str(backup.file))
        answer.print(table)
        return
    # Up to the end of the second that `--list` shows.
    backup = states.choose(snapshots, until.timestamp() + 1 if until else None)
    console.print(f"{name}: {backup.file}, of {_shown(backup.moment)}", soft_wrap=True, highlight=False, markup=False)
    difference = states.compare(snapshots, backup)
    if difference is None:
        console.print(f"{name}: the state of now is not readable", highlight=False)
    else:
        for sign, urns in (("+", difference.more), ("-", difference.less), ("~", difference.other)):
            console.print("\n".join(f"  {sign} {urn}" for urn in urns), soft_wrap=True, highlight=False, markup=False)
    states.restore(work, name, backup, partial(confirm, name, yes=yes), console)
    action = f"`stellwerk state repair --env {name}` reads the cluster, then `pulumi up --stack {name}`"
    console.print(f"{name}: restored; {action}", soft_wrap=True, highlight=False)


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%dT%H:%M:%S")
