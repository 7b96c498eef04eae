"""The commands about data: data push."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from delivery.terminal import Environment, Json, answer, console, print_json, resumable, session

data_app = typer.Typer(help="Data to train on, and curated test sets.", no_args_is_help=True)


@data_app.callback()
def data() -> None:
    """Keep the group a group: it has one command only."""


@data_app.command("push")
def push(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the data set; of a test set, the model.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A table: .csv or .parquet.")],
    environment: Environment,
    test_set: Annotated[
        bool, typer.Option("--test-set", help="Rows that releases are held against (.csv, or examples as .json).")
    ] = False,
    json: Json = False,
) -> None:
    """Bring a table into an environment's store under its digest, and print the line that pins it."""
    from delivery.operations import data as operation

    work = session(context)
    with resumable():
        if test_set:
            version = operation.push_test_set(work, environment, name, file)
            written = f"{work.project.test_sets.name}/{name}/{version}.yaml"
            print_json({"testSet": version, "file": written}) if json else answer.print(written, soft_wrap=True)
            entry = f"stellwerk:models.{name}.testSet: {version}"
            console.print(f"in the stack file of {environment}: {entry}", highlight=False, soft_wrap=True)
            return
        pushed = operation.push(work, environment, name, file)
    if json:
        print_json(asdict(pushed))
        return
    console.print(f"{pushed.moved} bytes brought to {environment}; in model.yaml:", highlight=False, soft_wrap=True)
    answer.print(f"data: {{source: {pushed.source!r}, digest: {pushed.digest!r}}}", soft_wrap=True, markup=False)
