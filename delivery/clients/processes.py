"""Processes of the engine on this machine, by what the system says of them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.targets.variables import BACKEND, PULUMI_BACKEND_URL

ENGINE = "pulumi"
# What the engine starts; the system cuts names after fifteen characters.
_PLUGINS = ("pulumi-resource", "pulumi-language")
_END_SECONDS = 10


@dataclass(frozen=True)
class Process:
    """A process that runs: its name, its parent, and when it began (seconds since 1970)."""

    name: str
    parent: int
    began: float


def process(pid: int) -> Process | None:
    """Return what the system says of a process, None of one that is gone; raise OSError where it says nothing."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, *values = text[text.rindex(")") + 2 :].split()
    # A dead one that nobody has waited for keeps its number and its name.
    if state in "ZXx":
        return None
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    began = time.time() - uptime + int(values[17]) / os.sysconf("SC_CLK_TCK")
    return Process(text[text.index("(") + 1 : text.rindex(")")], int(parent), began)


def exists(pid: int) -> bool:
    """Return whether there is a process of this number, of whatever user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Of another user, and the system may hide all else of it.
        pass
    return True


def end_survivors(url: str) -> int:
    """Kill the providers and language hosts that have outlived an engine with the backend at `url`; return how many.

    A killed engine does not take them along: a provider goes on with what it was asked last, for as long as five
    minutes, and would write beside the next update. Those of an engine that runs are its children, and stay.
    """
    pids = [pid for pid in _plugins() if _place(_backend(pid)) == _place(url) and not _has_engine(pid)]
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _END_SECONDS
    while any(process(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(pids)


def _place(url: str | None) -> tuple[str, str, str] | None:
    """Return what is the same however a backend is to be written to."""
    return urlsplit(url)[:3] if url else None


def _plugins() -> Iterator[int]:
    with suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (seen := process(int(entry))) and seen.name.startswith(_PLUGINS):
                yield int(entry)


def _backend(pid: int) -> str | None:
    """Return the backend of the engine that has started a process; None where it is another user's."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return None
    values = dict(variable.partition("=")[::2] for variable in variables)
    return values.get(BACKEND) or values.get(PULUMI_BACKEND_URL)


def _has_engine(pid: int) -> bool:
    seen = process(pid)
    parent = process(seen.parent) if seen else None
    return parent is not None and parent.name == ENGINE
