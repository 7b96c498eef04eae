"""The `stellwerk` command, put together of the commands about each noun."""

import signal
import sys

import typer

from delivery.commands import demo, documents, environments, logs, models
from delivery.failures import EXPECTED, INTERRUPTED, report_unexpected
from delivery.terminal import console
from infra.contract.errors import StellwerkError
from infra.local.cluster.cli import cluster_app
from infra.local.cluster.layout import state_directory
from infra.local.toolchain.doctor import doctor_app
from infra.targets.needs import Needs


def _needs() -> Needs:
    # Only the commands about the local node read every stack file.
    from infra.needs import local_needs

    return local_needs()


app = typer.Typer(
    help="Stellwerk: dev, test and prod as stacks of the same components; promotion is an infrastructure diff.",
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
    environments.drift,
    logs.logs,
    models.runs,
    documents.migrate,
):
    app.command()(command)
app.add_typer(cluster_app(_needs), name="cluster")
app.add_typer(doctor_app(_needs), name="doctor")


def main() -> None:
    """Run the command; a failure is one message on standard error and an exit code that says of which kind it is."""
    # A shell's background job ignores SIGINT and hands that on: the engine would then wait 5 s for each of its plugins.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except StellwerkError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXPECTED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        sys.exit(report_unexpected(error, state_directory(), console))
