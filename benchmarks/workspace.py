"""A temporary file backend with projects of its own, whose objects are all in labelled namespaces."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.measure import ROOT, output, timed
from infra.targets.variables import LOCAL_CONTEXT

LABEL = "stellwerk.dev/environment"
_STACK = "bench"
_PROGRAMS = Path(__file__).parent / "programs"


def surroundings() -> dict[str, str]:
    """Return the process's variables; raise BenchmarkError when no cluster answers under them."""
    env = dict(os.environ)
    try:
        output(["kubectl", "--context", LOCAL_CONTEXT, "get", "--raw", "/readyz", "--request-timeout=5s"], ROOT, env)
    except BenchmarkError as error:
        raise BenchmarkError(
            f"no cluster answers under the context {LOCAL_CONTEXT}; run `stellwerk cluster up` (or `make demo`), then "
            f'eval "$(stellwerk env)"\n{error}'
        ) from None
    return env


@dataclass(frozen=True)
class Project:
    """One program with one stack."""

    name: str
    folder: Path
    env: Mapping[str, str]

    def run(self, verb: str, *options: str) -> dict[str, float]:
        """A timed `pulumi <verb>`; raises BenchmarkError with the engine's last words."""
        return timed(["pulumi", verb, "--stack", _STACK, "--non-interactive", *options], self.folder, self.env)

    def create(self) -> dict[str, float]:
        """`pulumi up`."""
        return self.run("up", "--yes", "--skip-preview")

    def preview(self) -> dict[str, float]:
        """`pulumi preview`; raises BenchmarkError when something would change."""
        return self.run("preview", "--diff", "--expect-no-changes")

    def destroy(self) -> dict[str, float]:
        """`pulumi destroy`; waits until everything is gone."""
        return self.run("destroy", "--yes", "--skip-preview")

    def objects(self) -> list[dict[str, Any]]:
        """The Kubernetes objects of the stack, as the program declares them."""
        text = output(["pulumi", "stack", "export", "--stack", _STACK], self.folder, self.env)
        resources = json.loads(text)["deployment"].get("resources", [])
        return [item["inputs"] for item in resources if item["type"].startswith("kubernetes:")]


@dataclass(frozen=True)
class Workspace:
    """The backend; `run` begins with `bench-`, names the namespaces and is their label."""

    run: str
    folder: Path
    env: Mapping[str, str]

    def project(self, name: str, program: str, **config: str) -> Project:
        """A project whose program is a file of `benchmarks/programs`, with an empty stack."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(_PROGRAMS / f"{program}.py", folder / "__main__.py")
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": name, "runtime": "python"}), encoding="utf-8")
        values = {"run": self.run, "context": LOCAL_CONTEXT, **config}
        text = json.dumps({"config": {f"{name}:{key}": value for key, value in values.items()}})
        (folder / f"Pulumi.{_STACK}.yaml").write_text(text, encoding="utf-8")
        output(["pulumi", "stack", "init", _STACK, "--no-select", "--non-interactive"], folder, self.env)
        return Project(name, folder, self.env)


@contextmanager
def workspace(env: Mapping[str, str]) -> Iterator[Workspace]:
    """A workspace; whatever happens, its namespaces and its folder are gone afterwards."""
    run = f"bench-{secrets.token_hex(2)}"
    folder = Path(tempfile.mkdtemp(prefix=f"{run}-"))
    try:
        yield Workspace(run, folder, _own(env, folder))
    finally:
        # A killed update leaves objects that no state knows: the label finds them all.
        subprocess.run(
            ["kubectl", "--context", LOCAL_CONTEXT, "delete", "namespace", "--selector", f"{LABEL}={run}"],
            env=dict(env), stdout=subprocess.DEVNULL, check=False, start_new_session=True,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)


def _own(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables with a backend, an engine home and caches in `folder`; plugins are those of the user."""
    home, backend = folder / "home", folder / "state"
    home.mkdir()
    backend.mkdir()
    plugins = Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi", "plugins")
    if plugins.is_dir():
        (home / "plugins").symlink_to(plugins)
    kept = {name: value for name, value in env.items() if name != "PULUMI_CONFIG_PASSPHRASE_FILE"}
    return {
        **kept,
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": "benchmark",
        "KUBECACHEDIR": str(folder / "kube"),
        "PYTHONPATH": str(ROOT),
    }
