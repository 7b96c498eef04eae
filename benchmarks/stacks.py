"""Unchanged preview of the real stacks in the user's backend, against an older checkout and the smallest program."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.measure import BEFORE, OURS, ROOT, Series, of_checkout, output, timed
from benchmarks.workspace import by_itself, workspace
from infra.contract.stacks import StackFiles


def measure(repeat: int, env: Mapping[str, str], before: Path | None = None) -> list[Series]:
    """Measure previews of the environments that are deployed; after each, one of the smallest program.

    The checkout `before` previews the same stacks in between, with the engine as it runs by itself; its stack files
    have to be those of this checkout.
    Only previews: nothing of the stacks changes. Raise BenchmarkError when one of them is not up to date.
    """
    sizes = {name: size for name in deployed(env) if (size := _resources(name, env))}
    if before:
        _show_changes(list(sizes), before, env)
    previews = {name: Series(f"unchanged `pulumi preview` of {name}", size) for name, size in sizes.items()}
    if not previews:
        return []
    with workspace(env) as place:
        smallest = place.project("trivial", "one_config_map", on_target=True)
        smallest.create()
        for _ in range(repeat):
            for name, series in previews.items():
                series.add(OURS, _preview(name, env))
                if before:
                    series.add(BEFORE, timed(_command(name), before, of_checkout(before, by_itself(env, place.folder))))
                series.add("one ConfigMap", smallest.preview())
        smallest.destroy()
    return list(previews.values())


def deployed(env: Mapping[str, str]) -> list[str]:
    """Return the environments that have a stack in the user's backend."""
    listed = {stack["name"] for stack in json.loads(output(["pulumi", "stack", "ls", "--json"], ROOT, env))}
    return [name for name in StackFiles(ROOT).ordered() if name in listed]


def _resources(name: str, env: Mapping[str, str]) -> int:
    """Return the number of resources in the state; 0 while the stack was never applied."""
    state = json.loads(output(["pulumi", "stack", "export", "--stack", name], ROOT, env))
    return len(state["deployment"].get("resources") or [])


def _command(name: str) -> list[str]:
    return ["pulumi", "preview", "--stack", name, "--non-interactive", "--diff"]


def _preview(name: str, env: Mapping[str, str]) -> dict[str, float]:
    try:
        return timed([*_command(name), "--expect-no-changes"], ROOT, of_checkout(ROOT, env))
    except BenchmarkError as error:
        raise BenchmarkError(f"{name} is not up to date; run `pulumi up --stack {name}` first\n{error}") from None


def _show_changes(names: list[str], before: Path, env: Mapping[str, str]) -> None:
    """Show what the older checkout would change; previews are compared fairly if that is next to nothing."""
    for name in names:
        text = output([*_command(name)[:-1], "--json"], before, of_checkout(before, env))
        print(f"{name}, {BEFORE}: its preview has {json.loads(text)['changeSummary']}", file=sys.stderr)
