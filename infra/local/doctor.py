"""`stellwerk doctor`: the machine and the tools, one line each; with `--target` a cluster, which others look at.

Every command of `stellwerk` imports this module: the functions import what they need when called.
"""

import json as json_format
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.local.cluster.layout import Layout, layout
from infra.local.toolchain import inspect
from infra.targets.needs import Needs

if TYPE_CHECKING:
    from infra.local.toolchain.inspection import ToolStatus
    from infra.local.toolchain.machine import Check


# Looks at the clusters of an environment, or of all; prints as JSON or not; returns the exit code.
Target = Callable[[typer.Context, str | None, bool], int]


def doctor_command(
    needs: Callable[[], Needs],
    target: Target,
    inspect: "Callable[[bool], list[ToolStatus]]" = lambda elastic: inspect(elastic=elastic),
    place: Callable[[], Layout] = layout,
) -> Callable[..., None]:
    """Return the command; `needs`: what environments ask of a local node, `inspect`: the tools, with elastic ones."""
    return _Doctor(needs, target, inspect, place).doctor


@dataclass(frozen=True)
class _Doctor:
    """The command that checks machine and tools."""

    needs: Callable[[], Needs]
    target: Target
    inspect: "Callable[[bool], list[ToolStatus]]"
    place: Callable[[], Layout]

    def doctor(
        self,
        context: typer.Context,
        environment: Annotated[str | None, typer.Argument(help="With --target; default: all environments.")] = None,
        target: Annotated[bool, typer.Option("--target", help="Check the cluster of an environment instead.")] = False,
        json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    ) -> None:
        """Check the machine and the tools, or a target; exit code 1 when cluster or environment cannot run there."""
        if target:
            raise typer.Exit(self.target(context, environment, json))
        if environment:
            raise typer.BadParameter("name an environment with --target", param_hint="ENVIRONMENT")
        from infra.local.cluster.preflight import checks

        needs = self.needs()
        tools = self.inspect(bool(needs.instance_types))
        missing = any(tool.installed is None for tool in tools)
        done = checks(self.place(), needs, tools_missing=missing)
        if json:
            report = {"machine": [asdict(check) for check in done], "tools": [asdict(t) | {"ok": t.ok} for t in tools]}
            typer.echo(json_format.dumps(report, indent=1))
        else:
            _show(Console(highlight=False), done, tools)
        raise typer.Exit(0 if all(check.ok for check in done) and all(tool.ok for tool in tools) else 1)


def _show(console: Console, done: "list[Check]", tools: "list[ToolStatus]") -> None:
    for check in done:
        mark = "[green]✓[/green]" if check.ok else "[red]✗[/red]"
        console.print(f"{mark} {check.name}: {check.detail}{'' if check.ok else f' — {check.fix}'}", soft_wrap=True)
    table = Table("", "tool", "wanted", "found", "from", box=None, pad_edge=False, header_style="dim")
    for tool in tools:
        if tool.installed:
            table.add_row("[green]✓[/green]", tool.name, tool.wanted, tool.installed, tool.source)
        elif tool.how:
            table.add_row("[yellow]·[/yellow]", tool.name, tool.wanted, "to get", tool.how)
        else:
            table.add_row("[red]✗[/red]", tool.name, tool.wanted, "missing", tool.problem)
    console.print(table)
    waiting = sum(1 for tool in tools if tool.installed is None and tool.how)
    if waiting:
        console.print(f"{waiting} tools are not installed yet; the next `stellwerk cluster up` gets them.")
