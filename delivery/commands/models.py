"""The commands about a model: train, release, promote, rollback, predict, runs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from delivery.terminal import (
    Environment,
    Json,
    Model,
    OtherChanges,
    PullRequest,
    Timeout,
    Trainer,
    Yes,
    answer,
    confirm,
    console,
    environment_names,
    print_json,
    resumable,
    session,
)


def train(
    context: typer.Context,
    model: Model,
    param: Annotated[list[str] | None, typer.Option(help="A hyperparameter, key=value; repeatable.")] = None,
    requirement: Annotated[list[str] | None, typer.Option(help="A requirement it answers; repeatable.")] = None,
    environment: Trainer = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the Job to its end.")] = False,
    json: Json = False,
) -> None:
    """Train a model as a Kubernetes Job; the same image, parameters and nodes are trained once."""
    from delivery.operations import train as training

    work = session(context)
    where = work.project.trainer(model, environment)
    with resumable():
        job = training.train(work, where, model, param or [], requirement or [], console)
        if wait:
            training.wait(work, where, job, console)
    print_json({"job": job}) if json else answer.print(job)


def release(
    context: typer.Context,
    model: Model,
    job: Annotated[str, typer.Option(help="The training Job whose candidate is released.")],
    environment: Trainer = None,
    json: Json = False,
) -> None:
    """Write the immutable release file of a training Job's candidate."""
    from delivery.operations.release import release as make_release

    work = session(context)
    identity = make_release(work, work.project.trainer(model, environment), model, job)
    file = f"{work.project.releases.name}/{model}/{identity}.yaml"
    print_json({"release": identity, "file": file}) if json else answer.print(file)


def promote(
    context: typer.Context,
    model: Model,
    to: Annotated[
        str, typer.Option("--to", help="The environment whose pointer moves.", autocompletion=environment_names)
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="Where the release comes from; default: the one before.", autocompletion=environment_names
        ),
    ] = None,
    release: Annotated[str | None, typer.Option(help="A release id; default: what the source serves.")] = None,
    yes: Yes = False,
    timeout: Timeout = 180,
    allow_other_changes: OtherChanges = False,
    pull_request: PullRequest = False,
) -> None:
    """Move an environment's pointer to a release: preview, ask, apply, wait until it answers, or undo."""
    from delivery.operations import promote as moves
    from delivery.operations.draft import How

    with resumable():
        how = How(yes, timeout, console, confirm, allow_other_changes)
        if not pull_request:
            moves.promote(session(context), model, to, source, release, how)
        elif opened := moves.propose_promotion(session(context), model, to, source, release, how):
            answer.print(opened.url, soft_wrap=True)


def rollback(
    context: typer.Context,
    model: Model,
    environment: Environment,
    yes: Yes = False,
    timeout: Timeout = 180,
    allow_other_changes: OtherChanges = False,
    pull_request: PullRequest = False,
) -> None:
    """Go back to the release before: the inverse diff."""
    from delivery.operations import promote as moves
    from delivery.operations.draft import How

    with resumable():
        how = How(yes, timeout, console, confirm, allow_other_changes)
        if not pull_request:
            moves.rollback(session(context), model, environment, how)
        elif opened := moves.propose_rollback(session(context), model, environment, how):
            answer.print(opened.url, soft_wrap=True)


def predict(
    context: typer.Context,
    model: Model,
    environment: Environment,
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
        print_json(prediction.send(session(context), environment, model, body.read_bytes()))
        return
    result = prediction.predict(session(context), environment, model, None if all_held_out else rows)
    if json:
        print_json(result)
        return
    measured = ", ".join(f"{name} {value:.4f}" for name, value in result["metrics"].items())
    answer.print(f"{environment} answers with {result['release']}: {result['rows']} rows, {measured or 'no metric'}")
    answer.print(f"predicted {result['predictions'][:20]}\nlabels    {result['labels'][:20]}")
    answer.print(f"request ids {', '.join(result['request_ids'][:3])} (stellwerk logs --request-id …)")


def runs(
    context: typer.Context,
    model: Model,
    lines: Annotated[int, typer.Option("-n", min=1)] = 10,
    environment: Trainer = None,
    json: Json = False,
) -> None:
    """List the tracking server's runs of a model, newest first."""
    work = session(context)
    # What the model is judged by first.
    metric = work.project.models.load(model).gates[0].metric
    with work.tracking(work.project.trainer(model, environment)) as tracking:
        entries = tracking.runs(model, lines)
    if json:
        print_json({"runs": entries})
        return
    table = Table(*(Column(title, overflow="fold") for title in ("run", "status", "job", metric, "commit")))
    for run in entries:
        value = run["metrics"].get(metric)
        shown = "-" if value is None else f"{value:.4f}"
        table.add_row(run["run_id"], run["status"], run["job"] or "-", shown, _short(run["commit"] or "-"))
    answer.print(table)


def _short(revision: str) -> str:
    """Return a revision with a short commit; the mark of what differs from it stays."""
    commit, plus, difference = revision.partition("+")
    return f"{commit[:12]}{plus}{difference}"
