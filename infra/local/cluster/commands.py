"""Running the tools: one place for subprocess calls and their errors."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout

_NEXT = "correct the cause and run the same command again; `stellwerk cluster logs <part>` shows more"


@dataclass(frozen=True)
class Tools:
    """The toolchain's `bin` folder and the folder of the CNI plugins."""

    bin: Path
    cni: Path

    def path(self, name: str) -> Path:
        """Return the tool's path; raise ClusterError when it is missing."""
        for folder in (self.bin, *map(Path, os.environ.get("PATH", "").split(os.pathsep)), Path("/usr/sbin")):
            candidate = folder / name
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate
        raise ClusterError(f"{name}: not found; run `stellwerk doctor` to see what is missing and how to get it")


def run(command: Sequence[str | Path], *, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
    """Run `command` and return its standard output.

    Raises ClusterError with the command's last lines when it fails and `check` is set.
    """
    words = [str(part) for part in command]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        if not check:
            return ""
        raise ClusterError(f"{words[0]} gave no answer: {error}; {_NEXT}") from error
    if check and done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise ClusterError(f"`{' '.join(words[:6])}` ended with {done.returncode}:\n{tail}\n{_NEXT}")
    return done.stdout


def kubectl(tools: Tools, layout: Layout, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl as the cluster's administrator."""
    place: list[str | Path] = ["--kubeconfig", layout.kubeconfig, "--cache-dir", layout.kubectl_cache]
    return run([tools.path("kubectl"), *place, *arguments], stdin=stdin, check=check)
