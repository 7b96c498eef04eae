"""Entry point of `pulumi preview` and `pulumi up`."""

import signal
from pathlib import Path

import pulumi

from infra.contract.errors import StellwerkError
from infra.discovery import Services, known
from infra.program import run
from infra.targets.target import Target
from infra.values import ROOT


def main(root: Path = ROOT, services: Services | None = None, target: Target | None = None) -> None:
    """Compose the stack's environment; an expected error is one message without a traceback."""
    try:
        run(root, services or known(), target or Target())
    except StellwerkError as error:
        raise pulumi.RunError(str(error)) from None


if __name__ == "__main__":
    # Ctrl-C is the engine's to answer: it cancels the update; a traceback of the program would bury its message.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
