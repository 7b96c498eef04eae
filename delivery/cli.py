"""The `stellwerk` command."""

import json as json_format
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from components.kit import names
from infra.local.cluster.cli import cluster_app
from infra.local.cluster.environment import ask_for
from infra.local.cluster.layout import layout
from infra.local.toolchain.doctor import doctor_app
from infra.targets.needs import Needs


def _needs() -> Needs:
    from infra.needs import local_needs

    return local_needs()


app = typer.Typer(
    help="Stellwerk: dev, test and prod as stacks of the same components; promotion is an infrastructure diff.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(cluster_app(_needs), name="cluster")
app.add_typer(doctor_app(_needs), name="doctor")
# Progress goes to standard error: standard output is the answer alone.
console = Console(stderr=True)
answer = Console(highlight=False)


class EnvironmentName(StrEnum):
    """The environments."""

    DEV = "dev"
    TEST = "test"
    PROD = "prod"


Model = Annotated[str, typer.Argument(help="Name of the model, such as digits.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
Timeout = Annotated[
    float,
    typer.Option(min=1, help="Seconds from the start of the command until the endpoint must answer; else undone."),
]
OtherChanges = Annotated[
    bool, typer.Option("--allow-other-changes", help="Apply even what the preview changes besides this model.")
]
# An error class that is defined here is one that is expected.
_ROOMS = ("components", "delivery", "infra", "serving", "training")
# What the store may have instead of a release's artefact.
_LOST = ("changed", "absent")
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")]


def _json(value: Any) -> None:
    typer.echo(json_format.dumps(value, indent=1))


@contextmanager
def _resumable() -> Iterator[None]:
    """Ctrl-C says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to go on")
        raise typer.Exit(130) from None


def _agreed(environment: str, yes: bool) -> bool:
    return yes or typer.confirm(f"Apply this to {environment}?", err=True)


@app.command()
def demo() -> None:
    """Everything from nothing: cluster, dev, test, prod, train, release, promote, predict, roll back."""
    from delivery.operations.demo import run

    with _resumable():
        run(Console())


@app.command()
def init(
    environments: Annotated[list[EnvironmentName], typer.Argument(help="Environments, the registry's owner first.")],
) -> None:
    """Make an environment's stack, certificate authority and encrypted credentials; keeps what is there."""
    from delivery.operations.init import init as make

    for name in environments:
        make(name.value, console)


@app.command()
def env() -> None:
    """Print shell lines under which plain pulumi and kubectl work here: eval "$(stellwerk env)"."""
    for name, value in ask_for(layout()).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def train(
    model: Model,
    param: Annotated[list[str] | None, typer.Option(help="A hyperparameter, key=value; repeatable.")] = None,
    requirement: Annotated[list[str] | None, typer.Option(help="A requirement it answers; repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the Job to its end.")] = False,
    json: Json = False,
) -> None:
    """Train a model in dev as a Kubernetes Job; the same image, parameters and nodes are trained once."""
    from delivery.operations import train as training

    with _resumable():
        job = training.train(model, param or [], requirement or [], console)
        if wait:
            training.wait(job, console)
    _json({"job": job}) if json else answer.print(job)


@app.command()
def release(
    model: Model,
    job: Annotated[str, typer.Option(help="The training Job whose candidate is released.")],
    json: Json = False,
) -> None:
    """Write the immutable release file of a training Job's candidate."""
    from delivery.operations.release import RELEASES
    from delivery.operations.release import release as make

    identity = make(model, job)
    if json:
        _json({"release": identity, "file": f"{RELEASES.name}/{model}/{identity}.yaml"})
    else:
        answer.print(f"{RELEASES.name}/{model}/{identity}.yaml")


@app.command()
def promote(
    model: Model,
    to: Annotated[EnvironmentName, typer.Option("--to", help="The environment whose pointer moves.")],
    source: Annotated[
        EnvironmentName | None, typer.Option("--from", help="Where the release comes from; default: the one before.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="A release id; default: what the source serves.")] = None,
    yes: Yes = False,
    timeout: Timeout = 180,
    allow_other_changes: OtherChanges = False,
) -> None:
    """Move an environment's pointer to a release: preview, ask, apply, wait until it answers, or undo."""
    from delivery.operations.promote import How
    from delivery.operations.promote import promote as move

    with _resumable():
        move(
            model, to.value, source.value if source else None, release, How(yes, timeout, console, allow_other_changes)
        )


@app.command()
def rollback(
    model: Model,
    environment: Annotated[EnvironmentName, typer.Option("--env", help="The environment.")],
    yes: Yes = False,
    timeout: Timeout = 180,
    allow_other_changes: OtherChanges = False,
) -> None:
    """Go back to the release before: the inverse diff."""
    from delivery.operations.promote import How
    from delivery.operations.promote import rollback as back

    with _resumable():
        back(model, environment.value, How(yes, timeout, console, allow_other_changes))


@app.command()
def predict(
    model: Model,
    environment: Annotated[EnvironmentName, typer.Option("--env", help="The environment.")],
    rows: Annotated[int, typer.Option(min=1, help="So many held-out rows.")] = 5,
    all_held_out: Annotated[bool, typer.Option("--all-held-out", help="All held-out rows.")] = False,
    body: Annotated[
        Path | None,
        typer.Option("--input", exists=True, dir_okay=False, help="A request of your own (v2 JSON) instead."),
    ] = None,
    json: Json = False,
) -> None:
    """Ask a model through the gateway, and compare with the labels."""
    from delivery.operations import predict as prediction

    if body is not None:
        _json(prediction.send(environment.value, model, body.read_bytes()))
        return
    result = prediction.predict(environment.value, model, None if all_held_out else rows)
    if json:
        _json(result)
        return
    answer.print(f"{environment} answers with {result['release']}: {result['rows']} rows, "
                 f"accuracy {result['accuracy']:.4f}")  # fmt: skip
    answer.print(f"predicted {result['predictions'][:20]}\nlabels    {result['labels'][:20]}")
    answer.print(f"request ids {', '.join(result['request_ids'][:3])} (stellwerk logs --request-id …)")


@app.command()
def status(json: Json = False) -> None:
    """Releases per environment, and whether they answer and could come back; exit code 1 when one does not."""
    from delivery.operations.status import status as look

    report = look()
    models = [
        (name, model, state)
        for name, found in report["environments"].items()
        for model, state in found["models"].items()
    ]
    if json:
        _json(report)
    else:
        table = Table("environment", "model", "release", "previous", "answers")
        for name, model, state in models:
            answers = "[green]yes[/green]" if state["ready"] else f"[red]{state['answering'] or 'no'}[/red]"
            answers = answers if state["release"] else "no release yet"
            table.add_row(name, model, state["release"] or "-", state["previous"] or "-", answers)
        answer.print(table)
        for name, model, state in models:
            answer.print(f"{model} in {name}: {state['url']}", soft_wrap=True)
            if state["reason"]:
                answer.print(f"  {state['reason']}", style="red", soft_wrap=True, markup=False)
        for name, model, state in models:
            if state["artefact"] in _LOST:
                bring = "`stellwerk train` again, after its job was deleted" if name == "dev" else (
                    f"`stellwerk promote {model} --to {name}` brings it again")  # fmt: skip
                answer.print(f"[red]{model} in {name}: its artefact is {state['artefact']} in the object store: "
                             f"a pod that restarts can't come back; {bring}[/red]", soft_wrap=True)  # fmt: skip
    well = [(state["ready"] and state["artefact"] not in _LOST) or not state["release"] for _, _, state in models]
    raise typer.Exit(0 if all(well) else 1)


@app.command()
def drift(
    environment: Annotated[
        EnvironmentName | None, typer.Option("--env", help="Default: each that has a stack.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put it back: preview, ask, apply.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """What was deleted or changed by hand; exit code 2 when something was. Changes nothing without --repair."""
    from delivery.operations import drift as drifts

    found = {name: drifts.drift(name) for name in ([environment.value] if environment else drifts.applied())}
    if json:
        _json({"environments": {name: [asdict(item) for item in items] for name, items in found.items()}})
    else:
        for name, items in found.items():
            answer.print("\n".join(f"{name}: {item}" for item in items) or f"{name}: no drift", soft_wrap=True)
    if not any(found.values()):
        return
    if not repair:
        raise typer.Exit(2)
    with _resumable():
        for name in filter(found.get, found):
            drifts.repair(name, partial(_agreed, name, yes), console)


@app.command()
def logs(
    request_id: Annotated[str | None, typer.Option(help="Request id of a prediction.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    release: Annotated[str | None, typer.Option(help="Release id.")] = None,
    run: Annotated[str | None, typer.Option(help="Tracking run.")] = None,
    environment: Annotated[EnvironmentName | None, typer.Option("--env", help="The environment.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000)] = 20,
    wait: Annotated[bool, typer.Option("--wait", help="Until there is one, at most a minute.")] = False,
    json: Json = False,
) -> None:
    """Find log lines in the log store, newest first."""
    from delivery.clients import logs as search

    given = {names.REQUEST_FIELD: request_id, names.MODEL_FIELD: model, names.RELEASE_FIELD: release,
             names.RUN_FIELD: run, names.ENVIRONMENT_FIELD: environment and environment.value}  # fmt: skip
    hits = search.logs({key: value for key, value in given.items() if value}, lines, wait=wait)
    if json:
        _json({"hits": hits})
    else:
        for hit in hits:
            answer.print(json_format.dumps(hit), soft_wrap=True, markup=False)


@app.command()
def runs(model: Model, lines: Annotated[int, typer.Option("-n", min=1)] = 10, json: Json = False) -> None:
    """The tracking server's runs of a model, newest first."""
    from delivery.clients.runs import runs as look

    found = look(model, lines)
    if json:
        _json({"runs": found})
        return
    table = Table(*(Column(title, overflow="fold") for title in ("run", "status", "job", "accuracy", "commit")))
    for run in found:
        accuracy = run["metrics"].get("accuracy")
        shown = "-" if accuracy is None else f"{accuracy:.4f}"
        table.add_row(run["run_id"], run["status"], run["job"] or "-", shown, (run["commit"] or "-")[:12])
    answer.print(table)


def main() -> None:
    """Runs the command; an expected failure is one message on standard error and exit code 1."""
    # A shell's background job ignores SIGINT and hands that on: the engine would then wait 5 s for each of its plugins.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except Exception as error:
        if not _is_expected(error):
            raise
        console.print(f"error: {_text(error)}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def _is_expected(error: Exception) -> bool:
    """Whether a room's own error, or one of the edges: each carries its message."""
    # Only a command that failed needs to know them.
    import httpx
    from botocore.exceptions import BotoCoreError, ClientError

    edges = (OSError, subprocess.SubprocessError, httpx.HTTPError, httpx.InvalidURL, BotoCoreError, ClientError)
    rooms = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, edges) or not rooms.isdisjoint(_ROOMS)


def _text(error: Exception) -> str:
    """The message; an error of the system with its file, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


if __name__ == "__main__":
    main()
