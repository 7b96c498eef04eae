"""`stellwerk cluster`: the embedded single-node Kubernetes.

Every command of `stellwerk` imports this module: the functions import what they need when called.
"""

import json as json_format
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from infra.local.cluster.environment import ask_for
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout, layout
from infra.local.toolchain import installed_cluster_tools
from infra.targets.needs import Needs

console = Console(highlight=False)
_WAITING = "waiting for another `stellwerk cluster up` or `down` to end"


def cluster_app(needs: Callable[[], Needs]) -> typer.Typer:
    """Return the commands; `needs` says what the environments ask of the node, when it is started."""
    app = typer.Typer(help="The embedded single-node Kubernetes (root, Linux).", no_args_is_help=True)
    app.command()(_Up(needs).up)
    for command in (down, status, logs, kubeconfig):
        app.command()(command)
    return app


def get(place: Layout, needs: Needs, shown: Console = console) -> None:
    """Get what is missing; the node starts while tools compile that it does not need."""
    from infra.local.prepare import prepare

    prepare(place, needs, shown, lambda: _bring_up(place, needs, shown))


def start(place: Layout, needs: Needs) -> float:
    """Get what is missing, bring the node up; return the seconds it took without the getting."""
    get(place, needs)
    began = time.monotonic()
    _bring_up(place, needs, console)
    ask_for(place)
    return time.monotonic() - began


def _bring_up(place: Layout, needs: Needs, shown: Console) -> None:
    from infra.local.cluster import lifecycle
    from infra.local.cluster.commands import Tools
    from infra.local.cluster.turns import alone

    began = time.monotonic()

    def report(step: str) -> None:
        shown.print(f"  [dim]{time.monotonic() - began:5.1f} s[/dim]  {step}")

    with alone(place.root, lambda: report(_WAITING), make=True):
        lifecycle.up(place, Tools(*installed_cluster_tools()), needs, report)


@dataclass(frozen=True)
class _Up:
    """The command that starts the node."""

    needs: Callable[[], Needs]

    def up(self) -> None:
        """Start the node; a second time repairs what is missing."""
        seconds = start(layout(), self.needs())
        console.print(f"The cluster is ready ({seconds:.0f} s). Next: `stellwerk env` for plain pulumi and kubectl.")


def down(
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Stop all, keep the state directory.")] = False,
) -> None:
    """Remove every process, mount, interface, address and rule, and the state directory."""
    from infra.local.cluster import lifecycle
    from infra.local.cluster.commands import Tools
    from infra.local.cluster.turns import alone

    place = layout()
    with alone(place.root, lambda: console.print(f"  {_WAITING}")) as exists:
        if not exists:
            console.print(f"Nothing to remove: {place.root} does not exist.")
            return
        lifecycle.down(
            place,
            Tools(*installed_cluster_tools()),
            lambda step: console.print(f"  removing {step}"),
            keep_data=keep_data,
        )
    console.print("The cluster is stopped." if keep_data else f"The cluster is removed, {place.root} with it.")


def status(json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Processes, nodes and pods that are not well; exit code 1 when a process or a node is not."""
    from infra.local.cluster import lifecycle
    from infra.local.cluster.commands import Tools

    report = lifecycle.status(layout(), Tools(*installed_cluster_tools()))
    stopped = [name for name, info in report["processes"].items() if info["state"] != "RUNNING"]
    well = report["running"] and not stopped and all(report["nodes"].values())
    if json:
        console.print_json(json_format.dumps(report))
    elif not report["running"]:
        console.print("Not running. Start it with `stellwerk cluster up`.")
    else:
        _print(report)
    raise typer.Exit(0 if well else 1)


def _print(report: Mapping[str, Any]) -> None:
    """Print the processes as a table, and the nodes and pods below it."""
    table = Table("part", "state", "pid", "up")
    for name, info in report["processes"].items():
        table.add_row(name, info["state"], str(info["pid"] or ""), f"{info['up_seconds']} s")
    console.print(table)
    nodes = ", ".join(f"{name} {'ready' if ok else 'NOT ready'}" for name, ok in report["nodes"].items())
    console.print(f"nodes: {nodes}\npods: {report['pods']}, not well: {report['pods_not_well'] or 'none'}")
    console.print(f"API server: {report['api_server']}\nstate directory: {report['state_directory']}")


def logs(
    part: Annotated[str, typer.Argument(help="A process of `stellwerk cluster status`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 100,
) -> None:
    """Print the log of one process of the node."""
    folder = layout().logs
    target = folder / f"{part}.log"
    if not target.exists():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.log"))) or "none: the cluster was never started"
        raise ClusterError(f"no log of {part!r}; logs that exist: {known}")
    subprocess.run(["tail", "-n", str(lines), *(["-F"] if follow else []), str(target)], check=False)


def kubeconfig() -> None:
    """Print the administrator's kubeconfig (context `stellwerk`)."""
    place = layout()
    if not place.kubeconfig.exists():
        raise ClusterError(
            f"no local cluster: {place.kubeconfig} does not exist; start one with `stellwerk cluster up`"
        )
    typer.echo(place.kubeconfig.read_text(), nl=False)
