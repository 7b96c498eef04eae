"""Start of the program of `test`: CPU seconds until everything is registered, against plain typed pulumi-kubernetes."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import typed
from benchmarks.errors import BenchmarkError
from benchmarks.measure import ROOT, Series, output, timed
from infra.contract.release import Releases
from infra.values import NAMESPACE
from tests.program.harness import run, stack_values

STACK = "test"
_OURS, _PLAIN = "stellwerk", "plain typed SDK"


def measure(repeat: int) -> list[Series]:
    """Import alone, then imports and registration under mocks; interleaved, after one round that does not count."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        runs = _prepare(folder)
        objects = _same(runs[1], env)
        found = [Series("program start, imports only"), Series("program start, imports and registration", objects)]
        for series, sides in zip(found, runs, strict=True):
            for count in range(repeat + 1):
                for side, command in sides.items():
                    sample = timed(command, ROOT, env)
                    if count:
                        series.add(side, sample)
        return found


def _prepare(folder: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Write the peer's program; the commands of both measurements by side."""
    config = _config()
    resources = run(config, STACK).inputs
    kept = {key: value for key, value in resources.items() if not key.startswith("stellwerk:")}
    (folder / "plain_program.py").write_text(typed.program(kept), encoding="utf-8")
    (folder / "plain_imports.py").write_text(typed.imports(kept), encoding="utf-8")
    # Imported, as a module of a real project is, so that its bytecode is kept.
    (folder / "plain.py").write_text(f"import sys; sys.path.insert(0, {str(folder)!r}); import plain_program\n")
    flat = {f"{NAMESPACE}:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in config.items()}  # fmt: skip
    values = folder / "values.json"
    values.write_text(json.dumps(
        {"project": NAMESPACE, "stack": STACK, "config": flat, "secret": [f"{NAMESPACE}:credentials"]}
    ))  # fmt: skip
    register = [sys.executable, "-m", "benchmarks.registration"]
    imports = {
        _OURS: [sys.executable, "-c", "import infra.machine, infra.program, infra.values"],
        _PLAIN: [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); import plain_imports"],
        "import pulumi alone": [sys.executable, "-c", "import pulumi"],
    }
    whole = {
        _OURS: [*register, str(ROOT / "infra"), str(values)],
        _PLAIN: [*register, str(folder / "plain.py"), str(values)],
    }
    return imports, whole


def _config() -> dict[str, Any]:
    """Values of the stack's file, its releases included where they are there, with made-up credentials."""
    values = stack_values(STACK)
    document = YAML(typ="safe").load(ROOT / "stacks" / f"Pulumi.{STACK}.yaml")
    known = Releases(ROOT / "stacks" / "releases")
    for name, model in document["config"][f"{NAMESPACE}:models"].items():
        if model["release"] in known.ids(name):
            values["models"][name].update(release=model["release"], previous=model["previous"])
    return values


def _same(commands: Mapping[str, list[str]], env: Mapping[str, str]) -> int:
    """Return the number of resources; raises BenchmarkError when the programs do not declare the same."""
    told = {side: json.loads(output(command, ROOT, env).splitlines()[-1]) for side, command in commands.items()}
    if len({found["digest"] for found in told.values()}) != 1:
        raise BenchmarkError(f"the programs declare different resources: {told}")
    return int(next(iter(told.values()))["objects"])
