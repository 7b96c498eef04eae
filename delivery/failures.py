"""How the command ends when it fails: exit codes, and the message of a failure that nobody expected."""

import tempfile
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rich.console import Console

EXPECTED = 1
# EX_SOFTWARE of sysexits.h: a defect of the command itself.
UNEXPECTED = 70
# 128 + SIGINT, as shells count.
INTERRUPTED = 130
_LONGEST = 300


def report_unexpected(error: Exception, folders: Iterable[Path], console: Console) -> int:
    """Print one line with the type, the message and the place of the saved traceback; return the exit code.

    The traceback goes into the first of `folders` that takes it; none of them is made.
    """
    words = " ".join(str(error).split())
    message = words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
    kind = f"{type(error).__name__}: {message}" if message else type(error).__name__
    file = _save_traceback(error, folders)
    place = f"report it with its traceback, {file}" if file else "report it; its traceback could not be saved"
    text = f"unexpected error: {kind}; this is a defect of the command: {place}"
    console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    return UNEXPECTED


def _save_traceback(error: Exception, folders: Iterable[Path]) -> Path | None:
    """Return a new file that only its owner can read; the values of variables are not in it: they may be secret."""
    text = "".join(traceback.format_exception(error))
    for folder in folders:
        # It may be another user's, or full.
        with suppress(OSError):
            with tempfile.NamedTemporaryFile(
                "w", prefix="stellwerk-", suffix=".traceback", dir=folder, delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
            return Path(file.name)
    return None
