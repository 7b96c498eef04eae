"""Start of the program of `test`: CPU seconds until everything is registered.

Against plain typed pulumi-kubernetes, or against the program of an older checkout.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import typed
from benchmarks.errors import BenchmarkError
from benchmarks.measure import BEFORE, OURS, ROOT, Series, of_checkout, output, timed
from infra.contract.release import Releases
from infra.contract.stacks import StackFiles
from infra.targets.variables import KUBECONFIG, LOCAL_CONTEXT
from infra.values import NAMESPACE
from tests.program.harness import run, stack_values

STACK = "test"
_PLAIN = "plain typed SDK"
_WHOLE = "program start, imports and registration"
# Each checkout knows best what its stack files say, and which credentials they need.
_VALUES = f"import json; from tests.program.harness import stack_values; print(json.dumps(stack_values({STACK!r})))"


def measure(repeat: int, before: Path | None = None) -> list[Series]:
    """Measure imports alone, then imports and registration under mocks; against `before`, a checkout, only the latter.

    The sides are run in turn, after one round that does not count.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        # The program refuses to start without a context; under mocks nothing is asked of its cluster.
        with patch.dict(os.environ, {KUBECONFIG: str(_kubeconfig(folder / "kubeconfig"))}):
            if before:
                return [_against_checkout(repeat, before.resolve(), folder)]
            return _against_plain(repeat, folder)


def _kubeconfig(file: Path) -> Path:
    named = {"name": LOCAL_CONTEXT}
    contexts = [{**named, "context": {"cluster": LOCAL_CONTEXT}}]
    file.write_text(json.dumps({"contexts": contexts, "clusters": [{**named, "cluster": {}}]}), encoding="utf-8")
    return file


def _against_checkout(repeat: int, before: Path, folder: Path) -> Series:
    folders = {OURS: ROOT, BEFORE: before}
    sides: dict[str, list[str]] = {}
    for side, checkout in folders.items():
        values = json.loads(output([sys.executable, "-c", _VALUES], checkout, _variables(checkout)))
        sides[side] = _register(checkout / "infra", _write(values, folder / f"{len(sides)}.json"))
    declared = {side: _declared(command, folders[side])["objects"] for side, command in sides.items()}
    print(f"objects declared: {declared}", file=sys.stderr)
    return _timed(Series(_WHOLE, declared[OURS]), repeat, sides, folders)


def _against_plain(repeat: int, folder: Path) -> list[Series]:
    config = _config()
    resources = run(config, STACK).inputs
    kept = {key: value for key, value in resources.items() if not key.startswith("stellwerk:")}
    (folder / "plain_program.py").write_text(typed.program(kept), encoding="utf-8")
    (folder / "plain_imports.py").write_text(typed.imports(kept), encoding="utf-8")
    # Imported, as a module of a real project is, so that its bytecode is kept.
    (folder / "plain.py").write_text(f"import sys; sys.path.insert(0, {str(folder)!r}); import plain_program\n")
    values = _write(config, folder / "values.json")
    whole = {OURS: _register(ROOT / "infra", values), _PLAIN: _register(folder / "plain.py", values)}
    declared = {side: _declared(command, ROOT) for side, command in whole.items()}
    # A service imports its component when it is composed: what a whole run has imported is what is imported here.
    imports = {
        OURS: [sys.executable, "-c", f"import {', '.join(declared[OURS]['modules'])}"],
        _PLAIN: [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); import plain_imports"],
        "import pulumi alone": [sys.executable, "-c", "import pulumi"],
    }
    series = Series("program start, imports only"), Series(_WHOLE, _same(declared))
    return [_timed(one, repeat, sides, {}) for one, sides in zip(series, (imports, whole), strict=True)]


def _timed(series: Series, repeat: int, sides: Mapping[str, list[str]], folders: Mapping[str, Path]) -> Series:
    for count in range(repeat + 1):
        for side, command in sides.items():
            folder = folders.get(side, ROOT)
            sample = timed(command, folder, _variables(folder))
            if count:
                series.add(side, sample)
    return series


def _variables(checkout: Path) -> dict[str, str]:
    # Bytecode is kept, as it is where a program runs more than once.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**of_checkout(checkout, kept), "PYTHONHASHSEED": "0"}


def _register(program: Path, values: Path) -> list[str]:
    return [sys.executable, str(ROOT / "benchmarks" / "registration.py"), str(program), str(values)]


def _write(config: Mapping[str, Any], file: Path) -> Path:
    """Write the configuration as the engine hands it to a program."""
    flat = {
        f"{NAMESPACE}:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }
    document = {"project": NAMESPACE, "stack": STACK, "config": flat, "secret": [f"{NAMESPACE}:credentials"]}
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def _config() -> dict[str, Any]:
    """Return the values of the stack's file with made-up credentials, and its releases where this checkout has them."""
    values = stack_values(STACK)
    known = Releases(ROOT / "stacks" / "releases")
    for name, model in StackFiles(ROOT).values(STACK)["models"].items():
        if model["release"] in known.ids(name):
            values["models"][name].update(release=model["release"], previous=model["previous"])
    return values


def _declared(command: list[str], folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(output(command, folder, _variables(folder)).splitlines()[-1])
    return summary


def _same(declared: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the number of resources; raises BenchmarkError when the programs do not declare the same."""
    if len({summary["digest"] for summary in declared.values()}) != 1:
        sizes = {side: summary["objects"] for side, summary in declared.items()}
        raise BenchmarkError(f"the programs declare different resources, which compares nothing; by number: {sizes}")
    return int(next(iter(declared.values()))["objects"])
