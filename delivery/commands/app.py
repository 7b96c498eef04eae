"""The `stellwerk` command, put together of the commands about each noun."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from delivery.commands import (
    ci,
    data,
    demo,
    documents,
    environments,
    feedback,
    histories,
    images,
    logs,
    model_folders,
    model_import,
    models,
    plans,
    roles,
    state,
    targets,
    traces,
)
from delivery.errors import system_errors
from delivery.failures import EXPECTED, INTERRUPTED, report_unexpected
from delivery.terminal import console
from infra.contract.errors import StellwerkError
from infra.local.cli import cluster_app, get, start
from infra.local.cluster.environment import ask_for, environment
from infra.local.cluster.layout import layout, state_directory
from infra.local.doctor import doctor_command
from infra.targets.needs import Needs

if TYPE_CHECKING:
    from delivery.session import Session


def _needs() -> Needs:
    # Only the commands about the local node read every stack file.
    from infra.needs import local_needs

    return local_needs()


app = typer.Typer(
    help="Stellwerk: environments as stacks of the same components; promotion is an infrastructure diff.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    demo.demo,
    environments.init,
    environments.env,
    models.train,
    models.release,
    models.promote,
    models.rollback,
    models.predict,
    environments.status,
    plans.plan,
    plans.diff,
    traces.trace,
    histories.history,
    roles.roles,
    roles.access,
    environments.drift,
    state.orphans,
    logs.logs,
    models.runs,
    documents.migrate,
    images.images,
):
    app.command()(command)
model_app = typer.Typer(help="The models of this checkout: a folder each.", no_args_is_help=True)
model_app.command("new")(model_folders.new)
model_app.command("list")(model_folders.overview)
model_app.command("check")(model_folders.check)
model_app.command("import")(model_import.import_model)
model_app.command("remove")(model_folders.remove)
app.add_typer(model_app, name="model")
app.add_typer(ci.ci_app, name="ci")
app.add_typer(data.data_app, name="data")
app.add_typer(feedback.feedback_app, name="feedback")
app.add_typer(state.state_app, name="state")
app.add_typer(cluster_app(_needs), name="cluster")
app.command("doctor")(doctor_command(_needs, targets.look))


def open_session() -> "Session":
    """Return what commands work with, in this checkout and under the variables of its target."""
    # Reading environments takes long to import, and `--help` needs none.
    from delivery.project import Project
    from delivery.session import LocalCluster, Session

    with system_errors("making the state directory", "let STELLWERK_STATE name a folder that you may write"):
        variables = {**os.environ, **environment()}
    return Session(Project(), variables, LocalCluster(lambda: ask_for(layout()), _prepare, _start))


def _prepare(console: Console) -> None:
    get(layout(), _needs(), console)


def _start() -> None:
    start(layout(), _needs())


def main(
    arguments: Sequence[str] | None = None,
    opened: Callable[[], "Session"] = open_session,
    state: Path | None = None,
) -> None:
    """Run the command; a failure is one message on standard error and an exit code that says of which kind it is.

    A test gives `arguments`, the function that opens the session, and the folder of tracebacks.
    """
    # A shell's background job ignores SIGINT and hands that on: the engine would then wait 5 s for each of its plugins.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(arguments, obj=opened)
    except StellwerkError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXPECTED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        folders = (state or state_directory(), Path(tempfile.gettempdir()))
        sys.exit(report_unexpected(error, folders, console))
