"""`python -m benchmarks.models`: preview, up, promotion, rollback and status of prod among 10, 100, 1,000 models."""

import argparse
from collections import defaultdict
from typing import Any

from benchmarks.command import arguments, positive, run
from benchmarks.made_models import ENVIRONMENT, Prod, prod
from benchmarks.measure import RESULTS, Sample, Series, facts, save
from benchmarks.promotion import MODEL, Move, moves
from benchmarks.report import table
from benchmarks.workspace import variables

_UP, _PREVIEW, _STATUS = "`pulumi up` that adds the models", "unchanged `pulumi preview`", "`stellwerk status`"
Samples = dict[str, dict[int, list[Sample]]]


def main() -> None:
    """Measure each number of models, put prod back and write the result."""
    parser = arguments("python -m benchmarks.models", __doc__, repeat=2)
    parser.add_argument(
        "--counts", type=positive, nargs="+", default=[10, 100, 1000], help="numbers of models (default 10 100 1000)"
    )
    run(lambda: _measure(parser.parse_args()))


def _measure(given: argparse.Namespace) -> None:
    env = variables()
    pair, counts = moves(env), sorted(set(given.counts))
    document: dict[str, Any] = {"benchmark": "models", "counts": counts, **facts(env, cluster=True)}
    samples: Samples = defaultdict(lambda: defaultdict(list))
    try:
        with prod(env, counts[-1]) as place:
            for count in counts:
                _measure_one(place, pair, count, given.repeat, samples)
    finally:
        # What was measured before a failure is worth keeping: the largest number takes half an hour.
        if samples:
            print(table(save(given.output or RESULTS / "models.json", document, _series(samples))))


def _measure_one(place: Prod, pair: list[Move], count: int, repeat: int, samples: Samples) -> None:
    place.grow(count)
    _keep(samples, _UP, count, place.up())
    for _ in range(repeat):
        _keep(samples, _PREVIEW, count, place.engine("preview", "--diff", "--expect-no-changes"))
        for move in pair:
            options = ("--to", ENVIRONMENT) if move.verb == "promote" else ("--env", ENVIRONMENT)
            _keep(samples, f"`stellwerk {move.verb}`", count, place.stellwerk(move.verb, MODEL, *options, "--yes"))
        # Models whose pods nobody runs do not answer: it ends with 1.
        _keep(samples, _STATUS, count, place.stellwerk("status", "--json", fine=(0, 1)))


def _keep(samples: Samples, what: str, count: int, sample: Sample) -> None:
    shown = Series(what, count)
    shown.add(_side(count), sample)
    samples[what][count] += shown.samples[_side(count)]


def _series(samples: Samples) -> list[Series]:
    """Return the figures as comparisons of the largest number, which comes first, with the smaller ones."""
    return [
        Series(what, None, {_side(count): kept[count] for count in sorted(kept, reverse=True)})
        for what, kept in samples.items()
    ]


def _side(count: int) -> str:
    return f"{count:,} models"


if __name__ == "__main__":
    main()
