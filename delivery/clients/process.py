"""Runs a tool whose output the user sees; an interrupt is left to the tool, and its end is waited for."""

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from delivery.errors import not_runnable

# An interrupted engine ends its providers and saves its state; one that hangs is interrupted again.
_GRACE_SECONDS = 60


def call(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    *,
    stdout: int | None = None,
    stop: Callable[[], bool] | None = None,
    interval: float = 1,
) -> int:
    """Return the exit code of a command that runs in `folder`.

    While it runs `stop` is asked every `interval` seconds; the command is interrupted when it says yes. Raise
    DeliveryError when the command cannot be started.
    """
    try:
        process = subprocess.Popen(command, cwd=folder, env=dict(variables), stdout=stdout)
    except OSError as error:
        raise not_runnable(command[0], error) from None
    try:
        while stop is not None:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(interval)
            if stop():
                return _interrupt(process)
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has interrupted it too; killed now, it would leave its lock and half an update.
        process.wait()
        raise
    except BaseException:
        _interrupt(process)
        raise


def _interrupt(process: subprocess.Popen[bytes]) -> int:
    """End the engine as Ctrl-C does: it cancels, saves its state and gives its lock back."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.wait()
