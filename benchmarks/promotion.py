"""`python -m benchmarks.promotion`: promote and roll back prod under load, side by side with the plain engine."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from benchmarks.command import arguments, run
from benchmarks.errors import BenchmarkError
from benchmarks.measure import CPU_SECONDS, RESULTS, ROOT, SECONDS, Series, facts, save, timed
from benchmarks.report import table
from benchmarks.stacks import deployed
from benchmarks.workspace import variables
from delivery.clients.endpoint import answering_release
from delivery.commands.app import open_session
from delivery.operations.load import Load
from delivery.project import Pointers
from infra.contract.stacks import StackFiles
from infra.services.serving import models
from infra.values import from_file

MODEL, TARGET, SOURCE = "digits", "prod", "test"
_WAIT_SECONDS = 180
# As `stellwerk promote` waits: so many answers in a row, each on a connection of its own.
_AGREEING = 10


@dataclass(frozen=True)
class Move:
    """A pointer's move in prod."""

    verb: str
    release: str
    previous: str


class Seen(Counter[str]):
    """Counts answers per release, and keeps when each release answered last (monotonic seconds)."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, float] = {}

    def __setitem__(self, release: str, count: int) -> None:
        super().__setitem__(release, count)
        self.last[release] = time.monotonic()


def main() -> None:
    """Measure, put the pointers back and write the result."""
    parser = arguments("python -m benchmarks.promotion", __doc__, repeat=2)
    run(lambda: _measure(parser.parse_args()))


def _measure(given: argparse.Namespace) -> None:
    env = variables()
    moves = _moves(env)
    document: dict[str, Any] = {"benchmark": "promotion", **facts(env, cluster=True)}
    before = open_session().project.text(TARGET)
    sides: dict[str, Callable[[Move, Mapping[str, str]], dict[str, float]]] = {
        "stellwerk": _ours,
        "plain engine": _plain,
        "plain engine, previewed": _previewed,
    }
    series = {move.verb: Series(f"{move.verb} {TARGET} under load") for move in moves}
    try:
        for _ in range(given.repeat):
            for side, do in sides.items():
                for move in moves:
                    series[move.verb].add(side, _under_load(move, do, env))
    except BaseException:
        _restore(before, env)
        raise
    open_session().project.write(TARGET, before)
    print(table(save(given.output or RESULTS / "promotion.json", document, list(series.values()))))


def _moves(env: Mapping[str, str]) -> list[Move]:
    """Return the moves to prod's other release and back; raises BenchmarkError when the demo has not left them."""
    if missing := [name for name in StackFiles(ROOT).ordered() if name not in deployed(env)]:
        raise BenchmarkError(f"there is no stack {', '.join(missing)}; run `make demo` first")
    now, ready = (models(from_file(name).environment)[MODEL] for name in (TARGET, SOURCE))
    if now.release is None or now.previous is None or ready.release not in (now.release, now.previous):
        raise BenchmarkError(
            f"{TARGET} must have seen the release of {MODEL} that {SOURCE} serves, and another one; "
            f"it has release {now.release} and previous {now.previous}, {SOURCE} serves {ready.release}; "
            "run `make demo` first"
        )
    other = now.previous if ready.release == now.release else now.release
    promote, rollback = Move("promote", ready.release, other), Move("rollback", other, ready.release)
    return [rollback, promote] if ready.release == now.release else [promote, rollback]


def _under_load(
    move: Move, do: Callable[[Move, Mapping[str, str]], dict[str, float]], env: Mapping[str, str]
) -> dict[str, float]:
    """Return what the change took while a steady client asked; `switched`: when the release before answered last."""
    seen = Seen()
    load = Load(open_session(), TARGET, MODEL)
    load.releases = seen
    with load:
        time.sleep(1)
        began = time.monotonic()
        sample = do(move, env)
        time.sleep(1)
    if load.failed:
        print(f"{move.verb}: {load.failed} requests failed, the first with {load.first_failure}", file=sys.stderr)
    return {
        **sample,
        "switched, seconds": seen.last.get(move.previous, began) - began,
        "requests answered": load.answered,
        "requests failed": load.failed,
    }


def _ours(move: Move, env: Mapping[str, str]) -> dict[str, float]:
    """Run the command: preview, pointer, update, wait."""
    options = ("--to", TARGET) if move.verb == "promote" else ("--env", TARGET)
    return timed([sys.executable, "-m", "delivery.cli", move.verb, MODEL, *options, "--yes"], ROOT, env)


def _plain(move: Move, env: Mapping[str, str], previewed: bool = False) -> dict[str, float]:
    """Do the same by hand: write the pointer, update without preview, ask until the release answers."""
    began = time.monotonic()
    project = open_session().project
    project.write(TARGET, project.point(TARGET, MODEL, Pointers(move.release, move.previous)))
    samples = [_engine(env, "preview", "--diff")] if previewed else []
    samples.append(_engine(env, "up", "--yes", "--skip-preview"))
    _wait(move.release)
    return {SECONDS: time.monotonic() - began, CPU_SECONDS: sum(sample[CPU_SECONDS] for sample in samples)}


def _previewed(move: Move, env: Mapping[str, str]) -> dict[str, float]:
    """Do it by hand, with the preview that the command also makes."""
    return _plain(move, env, previewed=True)


def _engine(env: Mapping[str, str], verb: str, *options: str) -> dict[str, float]:
    return timed(["pulumi", verb, "--stack", TARGET, "--non-interactive", *options], ROOT, env)


def _wait(release: str) -> None:
    """Wait until the endpoint answers with the release and with it alone; raises BenchmarkError when it never does."""
    target, agreeing = open_session().endpoint(TARGET, MODEL), 0
    deadline = time.monotonic() + _WAIT_SECONDS
    while agreeing < _AGREEING:
        with target.client(timeout=5) as client:
            agreeing = agreeing + 1 if answering_release(target, client) == release else 0
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{TARGET} does not answer with {release} after {_WAIT_SECONDS} s")
        time.sleep(0.1)


def _restore(before: str, env: Mapping[str, str]) -> None:
    """Apply the stack file as it was, after a failure or an interrupt."""
    print(f"putting {TARGET} back", file=sys.stderr)
    open_session().backend.wait(TARGET, Console(stderr=True))
    open_session().project.write(TARGET, before)
    _engine(env, "up", "--yes", "--skip-preview")


if __name__ == "__main__":
    main()
