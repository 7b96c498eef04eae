"""Runs all tests, as `make test` does: those that need the cluster here, all others beside them with what is idle.

The integration tests take turns by what they change: first the story of the demo, with everything at rest; then those
of dev, test and prod side by side, and those that bring stacks of their own; then those that want the cluster for
themselves, and the last one, which takes it down.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.cluster import KEPT, remove

_PYTEST = (sys.executable, "-m", "pytest")
# Where they are: to read all other tests as well takes each lane some seconds.
FOLDERS = ("tests/integration", "tests/faults")
# Of the toolchain's `part = "tests"`, what these tests run; `make test-long` gets all.
_TOOLS = (
    "pulumi-language-yaml", "sdk-writer", "kubeconform", "kube-score", "keda-manifests", "gateway-api-manifests",
)  # fmt: skip
_TURNS = (("story",), ("dev", "prod", "test", "own"), ("alone",))
# pytest's own codes: all passed, some failed.
_GOES_ON = (0, 1)


class Beside:
    """A command in the background; its output is printed in one piece when it has ended."""

    def __init__(self, title: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start the command."""
        self._title = title
        self._output: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed at the command's end)
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT, env=env)
        self._printing = threading.Thread(target=self._print_at_end)
        self._printing.start()

    def _print_at_end(self) -> None:
        self._process.wait()
        with self._output as output:
            output.seek(0)
            print(f"\n{self._title}:\n{output.read()}", flush=True)

    def join(self) -> int:
        """Wait for the end; return the exit code."""
        self._printing.join()
        return self._process.returncode


def main() -> int:
    # Ctrl-C reaches the tests themselves, which put everything away; this only waits for them.
    signal.signal(signal.SIGINT, lambda *_: None)
    # Thousands of short programs in Go run here, and there is memory: to collect less often saves them a quarter.
    os.environ.setdefault("GOGC", "400")
    # Where it is set every program and every command would compile what it loads anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for more in ([], ["--only", *_TOOLS]):
        toolchain = subprocess.run([sys.executable, "-m", "infra.local.toolchain", *more], check=False)
        if toolchain.returncode:
            return toolchain.returncode
    # With what is idle, by one process more than there are processors: many wait for what they have started. Beside a
    # cluster that is busy a test waits for its turn longer than it works. All are read once before: what the processes
    # would compile at the same time, each for itself, is then there.
    workers = (os.cpu_count() or 1) + 1
    script = f'"$@" --collect-only -qq > /dev/null; exec "$@" -n {workers} --dist worksteal --timeout 1200'
    idle = ["nice", "-n", "10", "sh", "-c", script, "sh"]
    units = Beside("without the cluster", [*idle, *_PYTEST, "-m", "not integration and not long"])
    # Unix sockets have short names: the folder is not below pytest's own.
    folder = Path(tempfile.mkdtemp(prefix="stw-"))
    try:
        code = take_turns(_TURNS, folder)
    finally:
        remove(folder)
        others = units.join()
    return code or others


def _lane(name: str) -> Sequence[str]:
    slowest = ["--durations", "8", "--durations-min", "10"]
    return [*_PYTEST, *FOLDERS, "-m", "integration and not long", "--lane", name, *slowest]


def take_turns(turns: Sequence[Sequence[str]], folder: Path, command: Callable[[str], Sequence[str]] = _lane) -> int:
    """Run the lanes of each turn side by side, one turn after the other; return 0 if all of them have ended with it.

    A turn that was interrupted, or whose demo failed, is the last one.
    """
    worst = 0
    for first, *others in turns:
        background = {name: command(name) for name in others}
        code = run_side_by_side(command(first), background, os.environ | {KEPT: str(folder)})
        worst = worst or code
        if code not in _GOES_ON or not (folder / "demo.log").exists():
            break
    return worst


def run_side_by_side(
    foreground: Sequence[str], background: Mapping[str, Sequence[str]], env: Mapping[str, str] | None = None
) -> int:
    """Run commands, print the output of those in the background at their end; return 0 if all have ended with it."""
    others = [Beside(title, command, env) for title, command in background.items()]
    code = subprocess.run(foreground, check=False, env=env).returncode
    # Interrupted or broken weighs more than failed: who runs turns stops at it.
    return max([code, *(other.join() for other in others)], key=abs)


if __name__ == "__main__":
    sys.exit(main())
