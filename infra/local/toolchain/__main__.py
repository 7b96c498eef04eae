"""`python -m infra.local.toolchain [--jobs N] [--only TOOL ... | --part PART ...]`: gets the tools."""

import argparse
import sys

from rich.console import Console

from infra.local.toolchain import PARTS, ensure, of_parts
from infra.local.toolchain.errors import ToolchainError


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.toolchain", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="parallel compilations (default: one per core)"
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", metavar="TOOL", help="these tools only")
    chosen.add_argument("--part", nargs="+", choices=PARTS, help="the tools of these parts only")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    try:
        names = of_parts(arguments.part) if arguments.part else arguments.only
        toolchain = ensure(names, console, arguments.jobs)
    except ToolchainError as error:
        Console(stderr=True, highlight=False).print(f"error: {error}", markup=False, style="red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; what is finished is kept, and the next run continues with the rest")
        return 130
    console.print(f"The tools are in {toolchain.bin}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
