"""What the command refuses, in one message."""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.contract.errors import StellwerkError


class DeliveryError(StellwerkError):
    """The text says what is wrong and what to do."""


def not_runnable(tool: str, error: OSError) -> DeliveryError:
    """Return what is said when a tool of the toolchain cannot be started."""
    reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be run: {error.strerror}"
    return DeliveryError(f"{tool}: {reason}; run `stellwerk doctor` to see how to get it")


@contextmanager
def system_errors(purpose: str, action: str) -> Iterator[None]:
    """Raise DeliveryError for an error of the operating system: what was tried, why it failed and what to do."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise DeliveryError(f"{purpose} failed: {place}{error.strerror or error}; {action}") from error
