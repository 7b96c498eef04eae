"""Repeats kills by seed: `python -m tests.faults --seed 17`, after `eval "$(stellwerk env)"`."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.kills import NotConverged
from tests.faults.series import Series


def main() -> int:
    """Run the seeds and print the table; return 1 when one of them has not converged."""
    # In the background of a shell it is ignored: nothing would be deleted then.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("--seed", type=int, default=0, help="the first seed")
    options.add_argument("--count", type=int, default=1, help="how many")
    options.add_argument("--keep-going", action="store_true", help="go on after a seed that has not converged")
    given = options.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        Series(Path(folder), dict(os.environ), print) as series,
    ):
        for seed in range(given.seed, given.seed + given.count):
            try:
                series.run(seed)
            except NotConverged as error:
                print(f"NOT CONVERGED {error}", flush=True)
                if not given.keep_going:
                    break
        print(series.table())
        return 1 if series.failures else 0


if __name__ == "__main__":
    sys.exit(main())
