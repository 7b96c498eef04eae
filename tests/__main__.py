"""Runs all tests, as `make test` does: those that need the cluster here, all others beside them with what is idle."""

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import IO

_PYTEST = (sys.executable, "-m", "pytest")


def main() -> int:
    # Ctrl-C reaches the tests themselves, which put everything away; this only waits for them.
    signal.signal(signal.SIGINT, lambda *_: None)
    toolchain = subprocess.run([sys.executable, "-m", "infra.local.toolchain"], check=False)
    return toolchain.returncode or run_side_by_side(
        [*_PYTEST, "-m", "integration and not long"],
        ["nice", "-n", "5", *_PYTEST, "-m", "not integration and not long"],
    )


def run_side_by_side(foreground: Sequence[str], background: Sequence[str]) -> int:
    """Run both commands, print the second one's output in one piece at its end; return 0 if both have ended with it."""
    with tempfile.TemporaryFile("w+") as output:
        other = subprocess.Popen(background, stdout=output, stderr=subprocess.STDOUT)
        printing = threading.Thread(target=_print_at_end, args=(other, output))
        printing.start()
        code = subprocess.run(foreground, check=False).returncode
        printing.join()
    return code or other.returncode


def _print_at_end(process: subprocess.Popen[bytes], output: IO[str]) -> None:
    process.wait()
    output.seek(0)
    print(f"\nwithout the cluster:\n{output.read()}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
