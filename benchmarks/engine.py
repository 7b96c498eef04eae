"""`python -m benchmarks.engine`: create, preview, destroy and program start, side by side with the plain engine."""

import argparse
from pathlib import Path
from typing import Any

from benchmarks import objects, scale, stacks, start
from benchmarks.command import arguments, positive, run
from benchmarks.measure import RESULTS, Series, facts, save
from benchmarks.report import table
from benchmarks.workspace import variables

# `scale` takes long, and is measured when it is asked for.
_PARTS = ("start", "objects", "stacks")
_MORE = ("scale",)


def main() -> None:
    """Measure the parts asked for, one after the other, and write the result."""
    parser = arguments("python -m benchmarks.engine", __doc__, repeat=3)
    parser.add_argument("--size", type=positive, default=100, help="number of Kubernetes objects, about (default 100)")
    parser.add_argument("--before", type=Path, help="checkout of an older commit, to measure start and stacks against")
    parser.add_argument(
        "--part", choices=(*_PARTS, *_MORE), action="append", help="only this part; repeatable (default: no scale)"
    )
    run(lambda: _measure(parser.parse_args()))


def _measure(given: argparse.Namespace) -> None:
    parts = given.part or _PARTS
    needs_cluster = {"objects", "stacks", "scale"} & set(parts)
    env = variables() if needs_cluster else {}
    document: dict[str, Any] = {"benchmark": "engine", **facts(env, cluster=bool(needs_cluster))}
    series: list[Series] = []
    if "start" in parts:
        # A start takes two seconds: more of them cost nothing.
        series += start.measure(given.repeat * 3, given.before)
    if "objects" in parts:
        series += objects.measure(given.size, given.repeat, env)
    if "scale" in parts:
        series += scale.measure(given.size, given.repeat, env)
    if "stacks" in parts:
        series += stacks.measure(given.repeat, env, given.before)
    size = [str(given.size)] if {"objects", "scale"} & set(parts) else []
    before = ["before"] if given.before else []
    default = RESULTS / f"{'-'.join(['engine', *(given.part or ()), *size, *before])}.json"
    print(table(save(given.output or default, document, series)))


if __name__ == "__main__":
    main()
