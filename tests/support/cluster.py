"""Fixtures: the main job, once per test run, on a real cluster of its own.

The cluster stands until the last test; tests that take something away bring it back, or are marked `last`. Several
runs of pytest share it by a folder that is kept: `make test` runs lanes of tests side by side.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import traces
from tests.support.project import ENVIRONMENTS, MODEL, Project, copy_checkout

# A folder whose project is kept: the first run makes it, later ones use it (docs/find-your-room.md).
KEPT = "STELLWERK_TEST_PROJECT"
# The environments that the tests of a lane change; what else there is belongs to no lane that runs beside them.
LANES = {"story": (), "prod": ("prod",), "dev": ("dev",), "test": ("test",), "own": (), "alone": ENVIRONMENTS}


@pytest.fixture(scope="session")
def fresh() -> Iterator[Project]:
    """A checkout and a state directory in which nothing has run yet; whatever a test starts is taken down."""
    with checkout() as project:
        yield project


@contextmanager
def checkout() -> Iterator[Project]:
    """Yield a checkout with a state directory, both new unless they are kept; take down and remove what is not."""
    if os.geteuid() != 0:
        pytest.fail("the integration tests run a real cluster and need root; without root run `make check`")
    # Unix sockets have short names: pytest's own folders are too deep.
    kept = os.environ.get(KEPT)
    folder = Path(kept or tempfile.mkdtemp(prefix="stw-"))
    project = project_in(folder)
    try:
        if not project.root.exists():
            project.root.mkdir(parents=True)
            copy_checkout(project.root)
        yield project
    finally:
        if not kept:
            remove(folder)


def project_in(folder: Path) -> Project:
    """Return the project of a folder; what the machine looked like is of the time when this was asked first."""
    before = folder / "machine.json"
    if not before.exists():
        folder.mkdir(parents=True, exist_ok=True)
        before.write_text(traces.take().to_json())
    return Project(folder / "checkout", folder / "state", traces.Traces.from_json(before.read_text()))


def remove(folder: Path) -> None:
    """Take down the folder's cluster, if there is one, and remove the folder."""
    project = project_in(folder)
    if Path(project.command).exists():
        subprocess.run([project.command, "cluster", "down"], cwd=project.root, env=project.shell, check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def started(fresh: Project) -> Project:
    """With a node that runs and the environments' credentials; no environment is applied."""
    subprocess.run(["make", "setup"], cwd=fresh.root, env=fresh.shell, check=True)
    fresh.stellwerk("cluster", "up")
    fresh.stellwerk("init", *ENVIRONMENTS)
    fresh.learn_variables()
    return fresh


@pytest.fixture(scope="session")
def project(fresh: Project, request: pytest.FixtureRequest) -> Project:
    """After `make demo`: the README's first command, on a checkout that nobody has used."""
    log = fresh.root.parent / "demo.log"
    if not log.exists():
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            code = _demo(fresh, log)
        if code != 0:
            output = log.read_text()
            log.unlink()
            pytest.exit(f"`make demo` ended with {code}:\n{output[-6000:]}", returncode=1)
    fresh.demo_output = log.read_text()
    fresh.learn_variables()
    fresh.expected = _expected(fresh, log.with_name("expected.json"))
    return fresh


def _expected(project: Project, file: Path) -> dict[str, str]:
    """Return the stack files as the demo has left them: of lanes that begin one after the other, one may write them."""
    if not file.exists():
        texts = {name: project.stack_file(name).read_text() for name in ENVIRONMENTS}
        file.write_text(json.dumps(texts))
    expected: dict[str, str] = json.loads(file.read_text())
    return expected


def _demo(project: Project, log: Path) -> int:
    """Run the demo, keep its output, print the title of each step with the seconds so far; return its exit code."""
    print("\nmake demo, in a checkout and a state directory of its own …", flush=True)
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            ["make", "demo", f"MODELS={MODEL}"], cwd=project.root, env=project.shell, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if line.rstrip().endswith("───") or line.startswith("$ "):
                title = line.strip(" ─\n")
                print(f"  {time.monotonic() - began:6.0f} s  {title}", flush=True)
        code = process.wait()
    print(f"make demo: {time.monotonic() - began:.0f} s", flush=True)
    return code


@pytest.fixture(autouse=True)
def settled(request: pytest.FixtureRequest) -> None:
    """Put back what a test that failed has left, so that the next one does not fail for it."""
    if "project" not in request.fixturenames:
        return
    project: Project = request.getfixturevalue("project")
    for name in LANES[request.config.getoption("lane") or "alone"]:
        if project.state.exists() and project.stack_file(name).read_text() != project.expected[name]:
            project.write(name, project.expected[name])
            project.pulumi("cancel", "--stack", name, "--yes", ok=False)
            project.up(name, ok=False)


@pytest.fixture
def restored(project: Project) -> Iterator[Callable[[str], None]]:
    """Put a stack file back and apply it, after a test that changed it."""
    changed: dict[str, str] = {}

    def keep(environment: str) -> None:
        changed[environment] = project.stack_file(environment).read_text()

    yield keep
    for environment, text in changed.items():
        project.write(environment, text)
        project.up(environment)


@pytest.fixture
def edited(project: Project) -> Iterator[Callable[[str, str], None]]:
    """Write other text into a stack file until the test ends; for what is never applied."""
    before: dict[str, str] = {}

    def write(environment: str, text: str) -> None:
        before.setdefault(environment, project.stack_file(environment).read_text())
        project.write(environment, text)

    yield write
    for environment, text in before.items():
        project.write(environment, text)


@contextmanager
def registry_alone(project: Project) -> Iterator[None]:
    """Keep other lanes from pushing to dev's registry, or from starting it again, as long as the context lasts."""
    with (project.root.parent / "registry.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def another_checkout(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A second checkout of the project, for the same cluster and the same state of the engine."""
    root = tmp_path_factory.mktemp("another") / "checkout"
    root.mkdir()
    copy_checkout(root)
    for name in (".venv", ".toolchain"):
        (root / name).symlink_to(project.root / name)
    return replace(project, root=root, variables={**project.variables, "PYTHONPATH": str(root)})


@pytest.fixture
def beside(project: Project, another_checkout: Project) -> Project:
    """The second checkout with the files of the first: what a test makes of them no other lane reads."""
    for name, text in project.expected.items():
        another_checkout.write(name, text)
    shutil.rmtree(another_checkout.release_file("any").parent, ignore_errors=True)
    another_checkout.release_file("any").parent.mkdir(parents=True)
    for release in project.pointers("dev"):
        shutil.copy(project.release_file(release), another_checkout.release_file(release))
    return another_checkout
