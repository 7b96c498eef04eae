"""`python -m tests.serving.compare --before <checkout>`: ask this server and an older one the same; show differences.

Compared are status, headers and bodies byte by byte, and the log lines, all but dates, durations and made ids.
With `--record` the older one's answers are written to the file that `test_recorded.py` compares with instead.
"""

import argparse
import hashlib
import itertools
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.serving.exchanges import exchange, play
from tests.serving.made_models import MODELS
from tests.support.server import ROOT, Server, serve

_STATUS = re.compile(rb"^HTTP/1.1 (\d+)", re.MULTILINE)
_OWN = ("@timestamp", "event.duration")
_AT_A_TIME = 6
RECORD = Path(__file__).parent / "recorded.json"
# Sums of products differ in their last bits from processor to processor.
RECORDED_MODELS = ("doubling", "null", "sum", "gather", "cube", "copy-fp64", "copy-int64", "copy-uint64")
_RECORDED, _MOST_RECORDED = 250, 600
_GONE = "the handler is closed"


@contextmanager
def servers(folder: Path, checkout: Path = ROOT, names: Collection[str] = MODELS) -> Iterator[dict[str, Server]]:
    """Run a server for each of the named models from `checkout` until the block ends."""
    with ExitStack() as stack:
        started = {}
        for name in names:
            model = MODELS[name]
            place = folder / name
            place.mkdir(parents=True)
            changes = model.settings | {"PYTHONPATH": str(checkout), "DRAIN_SECONDS": "0"}
            started[name] = stack.enter_context(serve(place, model.content, **changes))
        yield started


def ask(running: Mapping[str, Server], number: int, quiet: float = 0.1) -> bytes:
    """Return what is answered to the exchange of a number."""
    said = exchange(number)
    return play(int(running[said.model].url.rsplit(":", 1)[1]), said, quiet)


def recorded() -> dict[int, str]:
    """Return the recorded answers by the number of their exchange; long ones are digests."""
    return {int(number): answer for number, answer in json.loads(RECORD.read_text()).items()}


def shortened(answer: bytes) -> str:
    """Return an answer as it is recorded."""
    # What has been asked for is the version of ONNX Runtime.
    text = re.sub(rb'"version":"[^"]*"', b'"version":""', answer).decode("latin-1")
    return text if len(text) <= _MOST_RECORDED else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def record(before: Mapping[str, Server]) -> None:
    """Write the answers to the first exchanges whose answers are the same on every machine."""
    asked = (number for number in itertools.count() if exchange(number).methods and exchange(number).model in before)
    answers = {number: shortened(ask(before, number)) for number in itertools.islice(asked, _RECORDED)}
    RECORD.write_text(json.dumps(answers, indent=0) + "\n")


def differences(ours: Mapping[str, Server], before: Mapping[str, Server], numbers: range) -> Iterator[str]:
    """Yield each exchange that is answered in another way, how often each status was seen, and other log lines."""
    seen: Counter[str] = Counter()

    def compare(number: int) -> str | None:
        for quiet in (0.1, 0.4, 1.5):
            mine, theirs = ask(ours, number, quiet), ask(before, number, quiet)
            if mine == theirs:
                seen.update(status.decode() for status in _STATUS.findall(mine))
                return None
        return f"exchange {number}, {exchange(number)!r:.3000}\nnow:    {mine!r:.3000}\nbefore: {theirs!r:.3000}"

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        unlike = [text for text in pool.map(compare, numbers) if text]
    print(f"answers by status: {dict(sorted(seen.items()))}", file=sys.stderr)
    yield from unlike
    # A second time a mismatch may have been asked again: lines are compared as a set.
    for name in MODELS:
        mine, theirs = _lines(ours[name]), _lines(before[name])
        for word, lines in (("now", mine - theirs), ("before", theirs - mine)):
            yield from (f"only logged {word}, model {name}: {line}" for line in itertools.islice(sorted(lines), 5))


def _lines(server: Server) -> set[str]:
    """Return the log lines without what is each server's own, or depends on when a client went away."""
    return {json.dumps(_common(line)) for line in server.lines() if _GONE not in str(line.get("error.message"))}


def _common(line: dict[str, Any]) -> list[tuple[str, Any]]:
    made = re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", str(line.get("http.request.id")))
    known = [(key, "<made>" if made and key == "http.request.id" else value) for key, value in line.items()]
    return [(key, value) for key, value in known if key not in _OWN and not str(value).startswith("serving sha256:")]


def main() -> int:
    """Compare; return 1 when there are differences."""
    parser = argparse.ArgumentParser(prog="python -m tests.serving.compare", description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="checkout of the older commit")
    parser.add_argument("--count", type=int, default=10_000, help="exchanges (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one: others are others (default 0)")
    parser.add_argument("--record", action="store_true", help="write what the older commit answers, compare nothing")
    given = parser.parse_args()
    if given.record:
        with (
            tempfile.TemporaryDirectory() as folder,
            servers(Path(folder), given.before.resolve(), RECORDED_MODELS) as before,
        ):
            record(before)
        return 0
    with (
        tempfile.TemporaryDirectory() as folder,
        servers(Path(folder) / "now") as ours,
        servers(Path(folder) / "before", given.before.resolve()) as before,
    ):
        unlike = list(differences(ours, before, range(given.first, given.first + given.count)))
    print(*unlike, f"{given.count} exchanges, {len(unlike)} differences", sep="\n\n")
    return 1 if unlike else 0


if __name__ == "__main__":
    sys.exit(main())
