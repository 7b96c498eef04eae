"""The command that imports a model made elsewhere: model import."""

from pathlib import Path
from typing import Annotated

import typer

from delivery.terminal import Json, Model, answer, console, print_json, resumable, session
from infra.contract.release import Task


def import_model(
    context: typer.Context,
    model: Model,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="The model: .onnx, .pt2, .safetensors, or a folder with all its files; default: models/<name>/model.",
        ),
    ] = None,
    data_file: Annotated[
        list[Path] | None, typer.Option("--data-file", help="A file that the model needs beside it; repeatable.")
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Rows to evaluate it with: a document of examples (.json) or a table (.csv)."
        ),
    ] = None,
    task: Annotated[
        Task | None, typer.Option(help="What the metrics are of, where models/<name>/model.yaml does not say it.")
    ] = None,
    source: Annotated[str | None, typer.Option("--from", help="Where it comes from; default: the file's name.")] = None,
    note: Annotated[str | None, typer.Option(help="A few words for the release.")] = None,
    json: Json = False,
) -> None:
    """Make a release of a model that was made elsewhere; an ONNX file needs no folder in models/."""
    from delivery.operations.model_import import Given, bring

    work = session(context)
    given = Given(file, tuple(data_file or ()), examples, task, source, note)
    with resumable():
        identity = bring(work, model, given, console)
    released = f"{work.project.releases.name}/{model}/{identity}.yaml"
    print_json({"release": identity, "file": released}) if json else answer.print(released)
