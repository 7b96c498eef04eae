"""One thing is written once: no run of equal lines stands in two places outside tests."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import PurePath

from tests.house.tree import hold, modules, written

_RUN = 8


def test_no_eight_lines_stand_in_two_places() -> None:
    places: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in written():
        if not name.startswith("tests/"):
            lines = list(_lines(name))
            for start in range(len(lines) - _RUN + 1):
                places[tuple(lines[start : start + _RUN])].append(name)
    equal = {
        f"{first} = {second}": f"{_RUN} lines or more are equal, from `{run[0]}` on"
        for run, names in places.items()
        for first, second in combinations(sorted(names), 2)
        if not _allowed(first, second)
    }
    hold("equal lines", equal)


def test_images_take_build_secrets_in_one_way() -> None:
    """A Dockerfile cannot include another: what has to be equal in all of them is compared here."""
    of_debian = re.compile(r"if \[ -s /run/secrets/(?:apt|ca)[^\n]*\n.*?(?=\n    (?:export|echo))", re.DOTALL)
    of_python = re.compile(r"FROM \S+ AS uv\n.*?(?=\nFROM )", re.DOTALL)
    for secret, block in (("id=apt", of_debian), ("id=pip", of_python)):
        files = [text for name, text in written().items() if PurePath(name).name == "Dockerfile" and secret in text]
        ways = {"".join(block.findall(text)) for text in files}
        assert len(files) > 1
        assert len(ways) == 1 and all(ways), ways


def _allowed(first: str, second: str) -> bool:
    """Return whether docs/decisions/0011-equal-lines.md names such a pair, and why it stays."""
    return first != second and {PurePath(first).name, PurePath(second).name} == {"Dockerfile"}


def _lines(name: str) -> Iterator[str]:
    """Return what a file says, line by line: no blank lines, no imports, white space made equal."""
    imports: set[int] = set()
    for node in modules().get(name, ()):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for number, line in enumerate(written()[name].splitlines(), 1):
        if line.strip() and number not in imports:
            yield " ".join(line.split())
