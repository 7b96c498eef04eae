"""`python -m benchmarks.report`: the committed results as Markdown tables, as they stand in the README."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS, spread

_HEAD = "| what | figure | ours | the peer | its figure | ours : peer |\n|---|---|---|---|---|---|"


def table(document: Mapping[str, Any]) -> str:
    """Return a result file's series, a row per peer and figure: medians, the smallest to the largest in brackets."""
    return "\n".join([_HEAD, *(row for series in document["series"] for row in _rows(series))])


def _rows(series: Mapping[str, Any]) -> Iterator[str]:
    (_, ours), *peers = series["samples"].items()
    objects = f", {series['objects']} objects" if series["objects"] else ""
    if not peers:
        for name in ours[0]:
            yield f"| {series['what']}{objects} | {name} | {_cell([sample[name] for sample in ours])} | - | - | - |"
    for peer, theirs in peers:
        for name in ours[0]:
            if name not in theirs[0]:
                continue
            ratio = series["ratios"][peer].get(name)
            mine, other = (_cell([sample[name] for sample in samples]) for samples in (ours, theirs))
            shown = f"**{_shown(ratio)}**" if ratio else "-"
            cells = [f"{series['what']}{objects}", name, mine, peer, other, shown]
            yield f"| {' | '.join(cells)} |"


def _cell(values: list[float]) -> str:
    return _shown(spread(values))


def _shown(figures: Mapping[str, float]) -> str:
    middle, low, high = (f"{figures[name]:.4g}" for name in ("median", "min", "max"))
    return middle if low == high else f"{middle} ({low} to {high})"


def main() -> None:
    """Print the tables of result files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=sorted(RESULTS.glob("*.json")), help="result files")
    for file in parser.parse_args().files:
        document = json.loads(file.read_text(encoding="utf-8"))
        machine, versions = document["machine"], ", ".join(" ".join(item) for item in document["versions"].items())
        print(f"\n### {file.name}, {document['date'][:10]}")
        print(
            f"{machine['cores']} cores, {machine['memory_gib']} GiB, load before {machine['load_before']}; {versions}\n"
        )
        print(table(document))


if __name__ == "__main__":
    main()
