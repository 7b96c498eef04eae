"""`stellwerk cluster`: the embedded single-node Kubernetes."""

import json as json_format
import subprocess
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.local.cluster import lifecycle
from infra.local.cluster.commands import Tools
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout, layout
from infra.local.prepare import prepare
from infra.local.toolchain import installed_cluster_tools, version

app = typer.Typer(help="The embedded single-node Kubernetes (root, Linux).", no_args_is_help=True)
console = Console(highlight=False)


def start(place: Layout) -> float:
    """Gets what is missing, brings the node up; returns the seconds it took without the getting."""
    prepare(place, console)
    folders = installed_cluster_tools()
    began = time.monotonic()

    def tell(step: str) -> None:
        console.print(f"  [dim]{time.monotonic() - began:5.1f} s[/dim]  {step}")

    lifecycle.up(place, Tools(*folders), f"v{version('kube-apiserver')}", tell)
    return time.monotonic() - began


@app.command()
def up() -> None:
    """Start the node; a second time repairs what is missing."""
    place = layout()
    seconds = start(place)
    console.print(f"The cluster is ready ({seconds:.0f} s). Next: `stellwerk env` for plain pulumi and kubectl.")


@app.command()
def down(
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Stop all, keep the state directory.")] = False,
) -> None:
    """Remove every process, mount, interface, address and rule, and the state directory."""
    place = layout()
    if not place.root.exists():
        console.print(f"Nothing to remove: {place.root} does not exist.")
        return
    lifecycle.down(
        place,
        Tools(*installed_cluster_tools()),
        lambda step: console.print(f"  removing {step}"),
        keep_data=keep_data,
    )
    console.print("The cluster is stopped." if keep_data else f"The cluster is removed, {place.root} with it.")


@app.command()
def status(json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Processes, nodes and pods that are not well; exit code 1 when a process or a node is not."""
    report = lifecycle.status(layout(), Tools(*installed_cluster_tools()))
    bad = [name for name, info in report["processes"].items() if info["state"] != "RUNNING"]
    well = report["running"] and not bad and all(report["nodes"].values())
    if json:
        console.print_json(json_format.dumps(report))
    elif not report["running"]:
        console.print("Not running. Start it with `stellwerk cluster up`.")
    else:
        table = Table("part", "state", "pid", "up")
        for name, info in report["processes"].items():
            table.add_row(name, info["state"], str(info["pid"] or ""), f"{info['up_seconds']} s")
        console.print(table)
        nodes = ", ".join(f"{name} {'ready' if ok else 'NOT ready'}" for name, ok in report["nodes"].items())
        console.print(f"nodes: {nodes}\npods: {report['pods']}, not well: {report['pods_not_well'] or 'none'}")
        console.print(f"API server: {report['api_server']}\nstate directory: {report['state_directory']}")
    raise typer.Exit(0 if well else 1)


@app.command()
def logs(
    part: Annotated[str, typer.Argument(help="A process of `stellwerk cluster status`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 100,
) -> None:
    """The log of one process of the node."""
    folder = layout().logs
    target = folder / f"{part}.log"
    if not target.exists():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.log"))) or "none: the cluster was never started"
        raise ClusterError(f"no log of {part!r}; there are: {known}")
    subprocess.run(["tail", "-n", str(lines), *(["-F"] if follow else []), str(target)], check=False)


@app.command()
def kubeconfig() -> None:
    """Print the administrator's kubeconfig (context `stellwerk`)."""
    place = layout()
    if not place.kubeconfig.exists():
        raise ClusterError("there is no local cluster; start it with `stellwerk cluster up`")
    typer.echo(place.kubeconfig.read_text(), nl=False)
