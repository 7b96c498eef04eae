"""A temporary file backend with projects of its own, whose objects are all in namespaces named after the run."""

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
from infra.targets.variables import (
    KUBECONFIG,
    KUBERNETES_BURST,
    KUBERNETES_RATE,
    LOCAL_CONTEXT,
    PULUMI_BACKEND_URL,
    PULUMI_HOME,
    PULUMI_PARALLEL,
    PULUMI_PARALLEL_DIFF,
    PULUMI_PASSPHRASE_FILE,
    PULUMI_SKIP_CHECKPOINTS,
)

_STACK = "bench"
_SETTINGS = (PULUMI_SKIP_CHECKPOINTS, PULUMI_PARALLEL, PULUMI_PARALLEL_DIFF, KUBERNETES_RATE, KUBERNETES_BURST)
_PROGRAMS = Path(__file__).parent / "programs"


def variables() -> dict[str, str]:
    """Return the process's variables; raises BenchmarkError unless they name a backend and a cluster that answers."""
    env = dict(os.environ)
    if missing := [name for name in (KUBECONFIG, PULUMI_BACKEND_URL) if not env.get(name)]:
        raise BenchmarkError(f'{" and ".join(missing)} not set; run: eval "$(stellwerk env)"')
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
        """Run and time `pulumi <verb>`; raises BenchmarkError with the end of the engine's output."""
        return timed(["pulumi", verb, "--stack", _STACK, "--non-interactive", *options], self.folder, self.env)

    def create(self) -> dict[str, float]:
        """Run `pulumi up`."""
        return self.run("up", "--yes", "--skip-preview")

    def preview(self) -> dict[str, float]:
        """Run `pulumi preview`; raises BenchmarkError when something would change."""
        return self.run("preview", "--diff", "--expect-no-changes")

    def destroy(self) -> dict[str, float]:
        """Run `pulumi destroy`; waits until everything is gone."""
        return self.run("destroy", "--yes", "--skip-preview")

    def objects(self) -> list[dict[str, Any]]:
        """Return the Kubernetes objects of the stack, as the program declares them."""
        text = output(["pulumi", "stack", "export", "--stack", _STACK], self.folder, self.env)
        resources = json.loads(text)["deployment"].get("resources", [])
        return [item["inputs"] for item in resources if item["type"].startswith("kubernetes:")]


@dataclass(frozen=True)
class Workspace:
    """The backend; `run` begins with `bench-`, names the namespaces."""

    run: str
    folder: Path
    env: Mapping[str, str]
    given: Mapping[str, str]

    def project(self, name: str, program: str, *, on_target: bool = False, **config: str) -> Project:
        """Make a project whose program is a file of `benchmarks/programs`, with an empty stack.

        The engine runs as it does by itself, or as the user's variables let it run on the target.
        """
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(_PROGRAMS / f"{program}.py", folder / "__main__.py")
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": name, "runtime": "python"}), encoding="utf-8")
        values = {"run": self.run, "context": LOCAL_CONTEXT, **config}
        text = json.dumps({"config": {f"{name}:{key}": value for key, value in values.items()}})
        (folder / f"Pulumi.{_STACK}.yaml").write_text(text, encoding="utf-8")
        output(["pulumi", "stack", "init", _STACK, "--no-select", "--non-interactive"], folder, self.env)
        return Project(name, folder, {**self.env, **self._settings()} if on_target else self.env)

    def _settings(self) -> dict[str, str]:
        """Return how the target lets the engine save its state, compare resources, and keep logs of its own."""
        settings = {name: self.given[name] for name in _SETTINGS if name in self.given}
        return {**settings, PULUMI_HOME: str(_home(self.given, self.folder / "home-of-target", as_given=True))}


@contextmanager
def workspace(env: Mapping[str, str]) -> Iterator[Workspace]:
    """Make a workspace; whatever happens, its namespaces and its folder are gone afterwards."""
    run = f"bench-{secrets.token_hex(2)}"
    folder = Path(tempfile.mkdtemp(prefix=f"{run}-"))
    try:
        yield Workspace(run, folder, _own(env, folder), env)
    finally:
        _remove_namespaces(run, env)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_namespaces(run: str, env: Mapping[str, str]) -> None:
    """Delete what is left: a killed update leaves objects that no state knows, but all begin with the run's name."""
    kubectl = ["kubectl", "--context", LOCAL_CONTEXT]
    listed = subprocess.run(
        [*kubectl, "get", "namespaces", "--output=name"], env=dict(env), capture_output=True, text=True, check=False
    )
    if left := [name for name in listed.stdout.split() if name.startswith(f"namespace/{run}-")]:
        subprocess.run(
            [*kubectl, "delete", *left], env=dict(env), stdout=subprocess.DEVNULL, check=False, start_new_session=True
        )


def by_itself(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables without what the target says of the engine, which keeps logs in a home in `folder`."""
    kept = {name: value for name, value in env.items() if name not in _SETTINGS}
    return {**kept, PULUMI_HOME: str(_home(env, folder / "home"))}


def _own(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables with a backend, an engine home and caches in `folder`; plugins are those of the user."""
    backend = folder / "state"
    backend.mkdir()
    # Bytecode is kept, as it is where a program runs more than once.
    left_out = (PULUMI_PASSPHRASE_FILE, "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in by_itself(env, folder).items() if name not in left_out}
    return {
        **kept,
        PULUMI_BACKEND_URL: f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": "benchmark",
        "KUBECACHEDIR": str(folder / "kube"),
        "PYTHONPATH": str(ROOT),
    }


def _home(env: Mapping[str, str], home: Path, as_given: bool = False) -> Path:
    """Make a home of the engine with the user's plugins; `as_given`: without logs, where the user's has none."""
    users = Path(env.get(PULUMI_HOME) or Path.home() / ".pulumi")
    if not home.is_dir():
        home.mkdir()
        if (users / "plugins").is_dir():
            (home / "plugins").symlink_to(users / "plugins")
        if as_given and (users / "logs").is_file():
            (home / "logs").touch()
    return home
