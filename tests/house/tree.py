"""The files of this checkout that the rules of the house look at."""

import ast
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_KNOWN = "tests/house/known.toml"
# The team's own: no rule of the house is a matter of theirs.
_TEAM = ("models/", "stacks/")
# Written by tools: locks, schemas, snapshots, raw results. Nobody edits them, so no rule about writing applies to them.
_GENERATED = (".txt", ".sum", ".mod", ".json", ".ambr")
_GENERATED_PLACES = ("tests/program/__snapshots__/", "benchmarks/results/", _KNOWN)


@cache
def written() -> dict[str, str]:
    """Return the text of each file of the framework's that people write, by its path; git's ignored ones are none."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in sorted(names)
        if (ROOT / name).is_file()
        and not name.endswith(_GENERATED)
        and not name.startswith((*_TEAM, *_GENERATED_PLACES))
    }


@cache
def modules() -> dict[str, list[ast.AST]]:
    """Return the nodes of the syntax tree of each Python module by its path; the module itself comes first."""
    return {name: list(ast.walk(ast.parse(text))) for name, text in written().items() if name.endswith(".py")}


def hold(rule: str, offenders: Mapping[str, str]) -> None:
    """Raise AssertionError unless just the places listed for `rule` in known.toml break it (place → what is wrong)."""
    known = tomllib.loads((ROOT / _KNOWN).read_text(encoding="utf-8")).get(rule, [])
    differences = compare(offenders, known)
    assert not differences, "\n".join([f"{rule}, as listed in {_KNOWN}:", *differences])


def compare(offenders: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Return a line for each offender that is not known, and for each known one that offends no more."""
    listed = set(known)
    new = [f"{place}: {offenders[place]}" for place in sorted(offenders.keys() - listed)]
    return new + [f"{place}: holds the rule now; take it off the list" for place in sorted(listed - offenders.keys())]
