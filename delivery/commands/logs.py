"""The command about log lines: logs."""

import json as json_format
from typing import Annotated

import typer

from components.kit import names
from delivery.terminal import Json, answer, environment_names, print_json, session


def logs(
    context: typer.Context,
    request_id: Annotated[str | None, typer.Option(help="Request id of a prediction.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    release: Annotated[str | None, typer.Option(help="Release id.")] = None,
    run: Annotated[str | None, typer.Option(help="Tracking run.")] = None,
    environment: Annotated[
        str | None, typer.Option("--env", help="The environment.", autocompletion=environment_names)
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000)] = 20,
    wait: Annotated[bool, typer.Option("--wait", help="Until there is one, at most a minute.")] = False,
    json: Json = False,
) -> None:
    """Find log lines in the log store, newest first."""
    work = session(context)
    values = work.project.environment(environment) if environment else None
    given = {
        names.REQUEST_FIELD: request_id,
        names.MODEL_FIELD: model,
        names.RELEASE_FIELD: release,
        names.RUN_FIELD: run,
        names.ENVIRONMENT_FIELD: values and values.scope,
    }
    filters = {key: value for key, value in given.items() if value}
    hits = work.log_store(environment).search(filters, lines, wait=wait)
    if json:
        print_json({"hits": hits})
    else:
        for hit in hits:
            answer.print(json_format.dumps(hit), soft_wrap=True, markup=False)
