"""What the benchmarks' command lines share."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from infra.contract.errors import StellwerkError


def arguments(name: str, description: str | None, repeat: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--repeat", type=positive, default=repeat, help=f"rounds (default {repeat})")
    parser.add_argument("--output", type=Path, help="file of the raw result (default: in benchmarks/results)")
    return parser


def positive(text: str) -> int:
    """Return the number of an option's text; raises ArgumentTypeError unless it is at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def run(work: Callable[[], None]) -> None:
    """Run a benchmark; an expected failure is one message and exit code 1, an interrupt ends it after its clean-up."""
    # A stopped benchmark cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell's background job ignores SIGINT and hands that on: the engine would then wait 5 s for each of its plugins.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work()
    except StellwerkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; everything of this benchmark is removed", file=sys.stderr)
        sys.exit(130)
