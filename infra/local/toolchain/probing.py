"""What a command on this machine is: where, which version, static or not."""

import os
import re
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from infra.local.toolchain.manifest import Tool
from infra.local.toolchain.paths import cache

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PT_INTERP = 3
# The version of an installed tool that has no way to say it.
UNKNOWN_VERSION = "present"


@dataclass(frozen=True)
class Probe:
    """An installed tool; `reason` says why it does not fit, None when it does."""

    version: str
    files: dict[str, Path]
    reason: str | None


def find(name: str, extra: list[str]) -> Path | None:
    """Return the first executable `name` on PATH, beside this Python, in the system's or the `extra` folders.

    The toolchain's own view is left out: it may be on PATH, and must not be taken for the user's tools.
    """
    own = str(cache())
    listed = os.environ.get("PATH", "").split(os.pathsep)
    for folder in [*listed, str(Path(sys.executable).parent), *_SYSTEM_FOLDERS, *extra]:
        candidate = Path(folder) / name
        if folder and not folder.startswith(own) and _is_command(candidate):
            return candidate.absolute()
    return None


def _is_command(file: Path) -> bool:
    """Return False, too, in a folder of another user."""
    try:
        return file.is_file() and os.access(file, os.X_OK)
    except OSError:
        return False


def probe(tool: Tool) -> Probe | None:
    """Look for `tool` among the installed commands; return None when it is not one of them."""
    if tool.path is None:
        return None
    names = tool.outputs or [tool.name]
    paths = {name: find(name, tool.path.folders) for name in names}
    files = {name: path for name, path in paths.items() if path is not None}
    if not files:
        return None
    if len(files) < len(names):
        return Probe("", files, f"lacks {', '.join(sorted(set(names) - files.keys()))}")
    version = version_of(tool, files[names[0]])
    reason = misfit(tool, files, version)
    return Probe((version or "") if tool.path.pattern else UNKNOWN_VERSION, files, reason)


def version_of(tool: Tool, command: Path) -> str | None:
    """Return the version that `command` prints; the wanted one where the tool has no way to ask."""
    if tool.path is None or not tool.path.pattern:
        return tool.version
    line = [str(command), *tool.path.arguments]
    try:
        # Pulumi writes a log, even of this, to its home.
        with tempfile.TemporaryDirectory() as home:
            environment = {**os.environ, "PULUMI_HOME": home}
            done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(tool.path.pattern, done.stdout + done.stderr)
    return match.group(1) if match else None


def misfit(tool: Tool, files: dict[str, Path], version: str | None) -> str | None:
    """Return why `files` cannot serve as `tool`; None when they can."""
    if version is None:
        return "does not say its version"
    if not tool.accepts(version):
        return f"is version {version}"
    if tool.static and (dynamic := [path.name for path in files.values() if is_dynamic(path)]):
        return f"is dynamically linked ({', '.join(dynamic)}), which an image without a C library cannot run"
    return None


def is_dynamic(path: Path) -> bool:
    """Return whether the ELF file names an interpreter, that is needs shared libraries."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02":
            return True
        offset = struct.unpack_from("<Q", head, 32)[0]
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
    return any(struct.unpack_from("<I", table, i * size)[0] == _PT_INTERP for i in range(count))
