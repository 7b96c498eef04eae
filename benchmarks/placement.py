"""`python -m benchmarks.placement`: how soon it is said that a training Job or a model fits on no node of its pool.

The scheduler and the API server are real, the nodes are simulated, and no cluster is needed. Seconds from the question
to the line with the names of pool and resource.
"""

import argparse
import asyncio
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from benchmarks.command import arguments, run
from benchmarks.errors import BenchmarkError
from benchmarks.measure import OURS, RESULTS, ROOT, SECONDS, Series, facts, of_checkout, save, spread
from benchmarks.report import table
from benchmarks.unplaced import CASES, DIGEST, ENVIRONMENT, MODEL, RELEASE, Case, Cluster, cluster, until
from components.serving.looks import Looks
from components.serving.rollout import Revision, until_served
from delivery.clock import Clock
from delivery.operations.pods import Watch
from infra.values import SERVING

# Who has not said it until then does not say it.
_MOST_SECONDS = 120


def main() -> None:
    """Ask for what fits nowhere, and write how long each answer took."""
    parser = arguments("python -m benchmarks.placement", __doc__, repeat=5)
    run(lambda: _measure(parser.parse_args()))


def _measure(given: argparse.Namespace) -> None:
    known = facts(os.environ, cluster=False)
    sides: Mapping[str, Callable[[Cluster, Case], float]] = {
        "`stellwerk train --wait`": _train,
        "`stellwerk promote`": _promote,
        "`pulumi up`": _update,
    }
    series = {(side, case): Series(f"{side}: {case.what}") for case in CASES for side in sides}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, cluster(Path(folder)) as started:
        for _ in range(given.repeat):
            for (side, case), one in series.items():
                one.add(OURS, {SECONDS: sides[side](started, case)})
    taken = [sample[SECONDS] for one in series.values() for sample in one.samples[OURS]]
    known["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    document = {"benchmark": "placement", **known, SECONDS: spread(taken)}
    print(table(save(given.output or RESULTS / "placement.json", document, list(series.values()))))


def _train(place: Cluster, case: Case) -> float:
    """Run the command until it says it; its own start counts."""
    command = [sys.executable, "-m", "delivery.cli", "train", MODEL, "--env", ENVIRONMENT, "--wait"]
    env = of_checkout(ROOT, place.variables())
    with place.template(case):
        began = time.monotonic()
        with subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                said = []
                for line in process.stdout or ():
                    said.append(line)
                    if case.is_said(line):
                        return time.monotonic() - began
            finally:
                process.send_signal(signal.SIGINT)
        raise BenchmarkError(f"{case.what}: the command ended without a word of it:\n{''.join(said)[-2000:]}")


def _promote(place: Cluster, case: Case) -> float:
    """Look at the pods as the command does while it updates, from the moment on when their Deployment is made."""
    words = io.StringIO()
    with place.service(case) as began:
        console = Console(file=words, width=1000)
        watch = Watch(place.kubectl, Clock(), MODEL, RELEASE, began + _MOST_SECONDS, console)

        def is_said() -> bool:
            ended = watch.stop()
            said = [*words.getvalue().splitlines(), *(watch.reason or "").splitlines()]
            if ended and not any(map(case.is_said, said)):
                raise BenchmarkError(
                    f"{case.what}: a promotion says no word of it:\n{words.getvalue()}\n{watch.reason}"
                )
            return any(map(case.is_said, said))

        until(is_said, "a promotion says it")
        return time.monotonic() - began


def _update(place: Cluster, case: Case) -> float:
    """Wait as the program does in an update, from the moment on when KServe has made the revision's Deployment."""
    kubectl = place.kubectl
    namespace = f"{ENVIRONMENT}-{SERVING}"

    def ask(*words: str, stdin: str = "") -> str:
        return kubectl.run("--namespace", namespace, *words, stdin=stdin)

    async def wait() -> float:
        said, heard = list[str](), asyncio.Event()

        def report(line: str) -> None:
            said.append(line)
            if case.is_said(line):
                heard.set()

        revision = Revision(namespace, MODEL, DIGEST, case.pods, _MOST_SECONDS)
        waiting = asyncio.ensure_future(until_served(revision, Looks(ask), report))
        try:
            await asyncio.wait_for(heard.wait(), _MOST_SECONDS)
        except TimeoutError:
            raise BenchmarkError(f"{case.what}: an update says no word of it: {said}") from None
        finally:
            waiting.cancel()
        return time.monotonic()

    with place.service(case) as began:
        return asyncio.run(wait()) - began


if __name__ == "__main__":
    main()
