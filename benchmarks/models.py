"""`python -m benchmarks.models`: preview, up, promotion, rollback and status among 10, 100 and 1,000 models."""

import argparse
from collections import defaultdict
from typing import Any

from benchmarks.command import arguments, positive, run
from benchmarks.errors import BenchmarkError
from benchmarks.made_models import ENVIRONMENT, SOURCE
from benchmarks.many import Place, place
from benchmarks.measure import RESULTS, Sample, Series, facts, save
from benchmarks.promotion import MODEL
from benchmarks.report import table
from benchmarks.workspace import variables
from infra.services.serving import models
from infra.values import from_file

_UP, _PREVIEW, _STATUS = "`pulumi up` that adds the models", "unchanged `pulumi preview`", "`stellwerk status`"
_NOTHING, _MOVE = "`stellwerk ci preview` of nothing", "`stellwerk ci preview` of a move"
Samples = dict[str, dict[int, list[Sample]]]


def main() -> None:
    """Measure each number of models, take all of them away and write the result."""
    parser = arguments("python -m benchmarks.models", __doc__, repeat=2)
    parser.add_argument(
        "--counts", type=positive, nargs="+", default=[10, 100, 1000], help="numbers of models (default 10 100 1000)"
    )
    parser.add_argument(
        "--moves", action="store_true", help="leave out previews and status, which take minutes among 1,000"
    )
    run(lambda: _measure(parser.parse_args()))


def _measure(given: argparse.Namespace) -> None:
    env, (first, second) = variables(), _releases()
    counts = sorted(set(given.counts))
    document: dict[str, Any] = {"benchmark": "models", "counts": counts, **facts(env, cluster=True)}
    samples: Samples = defaultdict(lambda: defaultdict(list))
    try:
        with place(env, MODEL, counts[-1]) as made:
            for release in (first, second):
                made.stellwerk("promote", MODEL, "--to", ENVIRONMENT, "--release", release, "--yes")
            for count in counts:
                _measure_one(made, second, count, given, samples)
    finally:
        # What was measured before a failure is worth keeping: the largest number takes long.
        if samples:
            print(table(save(given.output or RESULTS / "models.json", document, _series(samples))))


def _releases() -> tuple[str, str]:
    """Return the source's release before and the one that it serves; raise BenchmarkError when it has not both."""
    known = models(from_file(SOURCE, only=()).environment).get(MODEL)
    if known is None or known.release is None or known.previous is None:
        raise BenchmarkError(f"{SOURCE} must have seen two releases of {MODEL}; run `make demo` first")
    return known.previous, known.release


def _measure_one(made: Place, release: str, count: int, given: argparse.Namespace, samples: Samples) -> None:
    made.grow(count)
    _keep(samples, _UP, count, made.up())
    made.settle(count)
    if not given.moves:
        # Once: among many models it takes longest, and of all that is measured it varies least.
        _keep(samples, _PREVIEW, count, made.engine("preview", "--diff", "--expect-no-changes"))
        _keep(samples, _NOTHING, count, made.preview_nothing())
        _keep(samples, _MOVE, count, made.preview_move(MODEL))
    for _ in range(given.repeat):
        _keep(samples, "`stellwerk rollback`", count, made.stellwerk("rollback", MODEL, "--env", ENVIRONMENT, "--yes"))
        promote = ("promote", MODEL, "--to", ENVIRONMENT, "--release", release, "--yes")
        _keep(samples, "`stellwerk promote`", count, made.stellwerk(*promote))
        if not given.moves:
            # Models whose pods nobody runs do not answer: it ends with 1.
            _keep(samples, _STATUS, count, made.stellwerk("status", "--json", fine=(0, 1)))


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
