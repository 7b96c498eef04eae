"""Unchanged preview of the real stacks in the user's backend, against the smallest program there is."""

import json
from collections.abc import Mapping

from benchmarks.errors import BenchmarkError
from benchmarks.measure import ROOT, Series, output, timed
from benchmarks.workspace import workspace
from infra.values import ENVIRONMENTS


def measure(repeat: int, env: Mapping[str, str]) -> list[Series]:
    """Previews of dev, test and prod where they are deployed, one of the smallest program before each.

    Only previews: nothing of the stacks changes. Raises BenchmarkError when one of them is not up to date.
    """
    sizes = {name: size for name in deployed(env) if (size := _resources(name, env))}
    found = {name: Series(f"unchanged `pulumi preview` of {name}", size) for name, size in sizes.items()}
    if not found:
        return []
    with workspace(env) as place:
        smallest = place.project("trivial", "one_config_map")
        smallest.create()
        for _ in range(repeat):
            for name, series in found.items():
                series.add("stellwerk", _preview(name, env))
                series.add("one ConfigMap", smallest.preview())
        smallest.destroy()
    return list(found.values())


def deployed(env: Mapping[str, str]) -> list[str]:
    """Return the environments that have a stack in the user's backend."""
    listed = {stack["name"] for stack in json.loads(output(["pulumi", "stack", "ls", "--json"], ROOT, env))}
    return [name for name in ENVIRONMENTS if name in listed]


def _resources(name: str, env: Mapping[str, str]) -> int:
    """Resources in the state; 0 while the stack was never applied."""
    state = json.loads(output(["pulumi", "stack", "export", "--stack", name], ROOT, env))
    return len(state["deployment"].get("resources") or [])


def _preview(name: str, env: Mapping[str, str]) -> dict[str, float]:
    command = ["pulumi", "preview", "--stack", name, "--non-interactive", "--diff", "--expect-no-changes"]
    try:
        return timed(command, ROOT, env)
    except BenchmarkError as error:
        raise BenchmarkError(f"{name} is not up to date; run `pulumi up --stack {name}` first\n{error}") from None
