"""What the sources share during one run, and the one way in which they start programs."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.hosts import Hosts
from infra.local.toolchain.manifest import Manifest


@dataclass(frozen=True)
class Context:
    """`work` is scratch space on the store's file system, `note` shows a tool's current step, `jobs` is go's -p.

    `user` is the id of who runs it: root may install packages.
    """

    manifest: Manifest
    work: Path
    logs: Path
    hosts: Hosts
    note: Callable[[str, str], None]
    jobs: int = 0
    user: int = field(default_factory=os.geteuid)


def run(
    tool: str,
    command: Sequence[str | Path],
    context: Context,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    log: str = "",
) -> str:
    """Run `command`, keep its output in the log of `tool`, return its standard output.

    Raises ToolchainError with the command, its last lines and the log's path when it fails.
    """
    words = [str(word) for word in command]
    context.logs.mkdir(parents=True, exist_ok=True)
    path = context.logs / f"{log or tool}.log"
    with path.open("a") as file:
        file.write(f"$ {' '.join(words)}\n")
        file.flush()
        try:
            done = subprocess.run(
                words,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                check=False,
            )
        except OSError as error:
            raise ToolchainError(f"{tool}: cannot start {words[0]}: {error}") from error
        file.write(done.stdout)
    if done.returncode != 0:
        tail = "\n  ".join(path.read_text(errors="replace").rstrip().splitlines()[-12:])
        shown = " ".join(words)
        raise ToolchainError(
            f"{tool}: the command failed with exit code {done.returncode}:\n  {shown}\n"
            f"Its last lines:\n  {tail}\nWhole log: {path}"
        )
    return done.stdout
