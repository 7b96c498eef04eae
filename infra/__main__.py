"""Entry point of `pulumi preview` and `pulumi up`."""

import signal

import pulumi

from infra import machine, served
from infra.contract.problems import ConfigError
from infra.kubeconfig import require_context
from infra.program import Program
from infra.values import from_program, source


def main() -> None:
    """Composes the stack's environment; a configuration error is one message without a traceback."""
    try:
        loaded, credentials = from_program()
        require_context(loaded.environment.cluster.context, source(pulumi.get_stack()))
        served.warn(loaded.environment)
        Program(loaded, credentials, machine.read(loaded.environment)).compose()
    except ConfigError as error:
        raise pulumi.RunError(str(error)) from None


if __name__ == "__main__":
    # Ctrl-C is the engine's to answer: it cancels the update; a traceback of the program would bury what it says.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
main()
