"""The processes of one run of the engine: which is which, and who is left of them when it is killed."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Words in the command line of each part of the engine; the first that fits.
PARTS = {
    "provider": "pulumi-resource-kubernetes",
    "program": "pulumi-language-python-exec",
    "host": "pulumi-language-python",
}


@dataclass(frozen=True)
class Process:
    """A process, by its number and the moment it began (clock ticks since the machine's start): numbers come again."""

    pid: int
    began: str
    part: str

    def runs(self) -> bool:
        """Return whether it still runs; one that only waits to be counted does not."""
        values = _stat(self.pid)
        return values is not None and values[19] == self.began and values[0] not in "ZXx"

    def kill(self) -> None:
        """Kill it, if it is still this one."""
        if self.runs():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def tree(pid: int) -> list[Process]:
    """Return the process and all that descend from it, itself first."""
    parents = {
        int(entry): int(values[1]) for entry in os.listdir("/proc") if entry.isdigit() and (values := _stat(entry))
    }
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return [process for number in members if (process := _process(number, "engine" if number == pid else ""))]


def _process(pid: int, part: str) -> Process | None:
    values = _stat(pid)
    if values is None:
        return None
    if not part:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return None
        part = next((name for name, word in PARTS.items() if word in line), "other")
    return Process(pid, values[19], part)


def _stat(pid: int | str) -> list[str] | None:
    """Return the values of `/proc/<pid>/stat` from the state on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
