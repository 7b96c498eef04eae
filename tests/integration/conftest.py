"""The main job, once per test run, on a real cluster of its own: a copy of the checkout and its own state directory.

The cluster stands until the last test; tests that take something away bring it back, or are marked `last`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration import traces

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("dev", "test", "prod")
MODEL = "digits"


def pytest_configure() -> None:
    """A run in the background ignores SIGINT and hands that on: the engine would wait 5 s for each of its plugins."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever the order, what takes everything down comes last."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@dataclass
class Project:
    """A checkout with a cluster, used as a user would: by its commands."""

    root: Path
    state: Path
    before: traces.Traces
    demo_output: str = ""
    demo_seconds: float = 0.0
    demo_code: int = -1
    environment: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str, timeout: float = 600, **extra: str) -> subprocess.CompletedProcess[str]:
        """A command in the checkout, under the variables of `stellwerk env` once they are known."""
        return subprocess.run(
            command, cwd=self.root, env={**self.base, **self.environment, **extra},
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    @property
    def base(self) -> dict[str, str]:
        """What a fresh shell has; nothing of an outer `stellwerk env`."""
        dropped = ("PULUMI_", "STELLWERK_", "KUBECONFIG", "KUBECACHEDIR", "DOCKER_CONFIG", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return {**kept, "STELLWERK_STATE": str(self.state), "COLUMNS": "200"}

    def stellwerk(self, *arguments: str, ok: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        """The command; with `ok` a failure ends the test with what it said."""
        done = self.run(str(self.root / ".venv/bin/stellwerk"), *arguments, **extra)
        assert not ok or done.returncode == 0, (
            f"stellwerk {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
        return done

    def ask(self, *arguments: str) -> Any:
        """The JSON answer of a command."""
        return json.loads(self.stellwerk(*arguments, "--json").stdout)

    def pulumi(self, *arguments: str, ok: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        """Plain pulumi, as after `eval "$(stellwerk env)"`."""
        done = self.run("pulumi", *arguments, "--non-interactive", timeout=1200, **extra)
        assert not ok or done.returncode == 0, (
            f"pulumi {' '.join(arguments)}: {done.stdout[-4000:]}{done.stderr[-2000:]}"
        )
        return done

    def kubectl(self, *arguments: str, ok: bool = True) -> str:
        """Plain kubectl as the cluster's administrator."""
        done = self.run("kubectl", *arguments)
        assert not ok or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        """The items of `kubectl get …`."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return found

    def pointers(self, environment: str) -> dict[str, Any]:
        """What the command says of the model in an environment."""
        done = self.stellwerk("status", "--json", ok=False)
        found: dict[str, Any] = json.loads(done.stdout)["environments"][environment]["models"][MODEL]
        return found

    def stack_file(self, environment: str) -> Path:
        """The environment's values."""
        return self.root / "stacks" / f"Pulumi.{environment}.yaml"

    def learn_environment(self) -> None:
        """Takes over what `stellwerk env` prints."""
        printed = self.stellwerk("env").stdout
        script = f"{printed}\n{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        done = subprocess.run(["sh", "-c", script], env=self.base, capture_output=True, text=True, check=True)
        self.environment = json.loads(done.stdout)


def authority(project: Project, environment: str) -> str:
    """The certificate of the environment's authority, PEM."""
    values = YAML(typ="safe").load(project.stack_file(environment))
    found: str = values["config"]["stellwerk:caCertificate"]
    return found


def _copy_checkout(target: Path) -> None:
    """What git tracks and what it does not ignore, as a repository of its own with one commit."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    # Images carry the commit: another day must not make other images.
    dates = {name: "2026-01-01T00:00:00Z" for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")}
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message", "checkout"]):
        subprocess.run(["git", *command], cwd=target, check=True, capture_output=True, env=os.environ | dates)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A checkout and a state directory in which nothing has run yet; whatever a test starts is taken down."""
    if os.geteuid() != 0:
        pytest.fail("the integration tests run a real cluster and need root; without root run `make check`")
    # Unix sockets have short names: pytest's own folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="stw-"))
    project = Project(folder / "checkout", folder / "state", traces.take())
    project.root.mkdir()
    try:
        _copy_checkout(project.root)
        yield project
    finally:
        command = project.root / ".venv/bin/stellwerk"
        if command.exists():
            subprocess.run([command, "cluster", "down"], cwd=project.root, env=project.base, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def project(fresh: Project, request: pytest.FixtureRequest) -> Project:
    """After `make demo`: the README's first command, on a checkout that nobody has used."""
    began = time.monotonic()
    capture = request.config.pluginmanager.getplugin("capturemanager")
    log = fresh.root.parent / "demo.log"
    with capture.global_and_fixture_disabled():
        print("\nmake demo, in a checkout and a state directory of its own …", flush=True)
        fresh.demo_code = _follow(["make", "demo"], fresh, log)
        fresh.demo_seconds = time.monotonic() - began
        print(f"make demo: {fresh.demo_seconds:.0f} s", flush=True)
    fresh.demo_output = log.read_text()
    if fresh.demo_code != 0:
        pytest.exit(f"`make demo` ended with {fresh.demo_code}:\n{fresh.demo_output[-6000:]}", returncode=1)
    fresh.learn_environment()
    fresh.told = {name: fresh.stack_file(name).read_text() for name in ENVIRONMENTS}
    return fresh


@pytest.fixture(autouse=True)
def _settled(request: pytest.FixtureRequest) -> None:
    """What a test that failed has left is put back, so that the next one does not fail for it."""
    if "project" not in request.fixturenames:
        return
    project: Project = request.getfixturevalue("project")
    for name in ENVIRONMENTS:
        if project.state.exists() and project.stack_file(name).read_text() != project.told[name]:
            project.stack_file(name).write_text(project.told[name])
            project.pulumi("cancel", "--stack", name, "--yes", ok=False)
            project.pulumi("up", "--stack", name, "--yes", "--skip-preview", ok=False)


def _follow(command: list[str], project: Project, log: Path) -> int:
    """Runs a command, keeps its output, and prints the title of each step with the seconds so far."""
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=project.root, env=project.base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            title = line.strip(" ─\n")
            if line.rstrip().endswith("───") or line.startswith("$ "):
                print(f"  {time.monotonic() - began:6.0f} s  {title}", flush=True)
        return process.wait()


@pytest.fixture
def restored(project: Project) -> Iterator[Callable[[str], None]]:
    """Puts a stack file back and applies it, after a test that changed it."""
    changed: dict[str, str] = {}

    def keep(environment: str) -> None:
        changed[environment] = project.stack_file(environment).read_text()

    yield keep
    for environment, text in changed.items():
        project.stack_file(environment).write_text(text)
        project.pulumi("up", "--stack", environment, "--yes", "--skip-preview")


def kill_group(process: subprocess.Popen[str]) -> None:
    """kill -9 on a process and everything it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
