"""Waits for the moment in which a process writes into a folder."""

import ctypes
import os
import select
import subprocess
from pathlib import Path

# A file is made, written to, or put into its place.
_EVENTS = 0x100 | 0x2 | 0x80
_HEAD = 16


def wait_for_writing(folder: Path, process: subprocess.Popen[bytes], steps: int) -> None:
    """Return after so many steps of writing, or when the process has ended.

    Raise OSError where the system does not watch folders.
    """
    system = ctypes.CDLL(None, use_errno=True)
    descriptor = system.inotify_init()
    if descriptor < 0 or system.inotify_add_watch(descriptor, os.fsencode(folder), _EVENTS) < 0:
        raise OSError(ctypes.get_errno(), f"{folder} is not watched")
    try:
        seen = 0
        while seen <= steps and process.poll() is None:
            if select.select([descriptor], [], [], 0.1)[0]:
                seen += _count(os.read(descriptor, 4096))
    finally:
        os.close(descriptor)


def _count(content: bytes) -> int:
    """Return how many events there are; each says at its end how long the name is that follows."""
    events, at = 0, 0
    while at < len(content):
        at += _HEAD + int.from_bytes(content[at + 12 : at + 16], "little")
        events += 1
    return events
