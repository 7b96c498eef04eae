"""Every model of this checkout, whichever they are: trained in its own image, released, served, asked, removed.

It needs the first environment alone, and no demo: `make test-models`. A framework that no model uses has a stand-in.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from delivery.operations import candidate, examples
from delivery.project import Project as Checkout
from delivery.session import LocalCluster, Session
from infra.contract.model import Framework, Models
from infra.contract.release import Release
from infra.services.training import image
from tests.support.asking import Asked, assert_answers
from tests.support.containers import run_in_image
from tests.support.project import ENVIRONMENTS, ROOT, Project
from training.examples import MOST_ROWS

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]
FIRST = ENVIRONMENTS[0]
MODELS, STAND_INS = Models(ROOT / "models"), Models(ROOT / "tests/support/team/stand_ins")


def frameworks(models: Models) -> dict[Framework, str]:
    """Return a model of each framework that models have."""
    return {models.load(name).framework: name for name in reversed(models.names())}


LACKING = {framework: name for framework, name in frameworks(STAND_INS).items() if framework not in frameworks(MODELS)}
FRAMEWORKS = frameworks(MODELS) | LACKING
NAMES = [*MODELS.names(), *LACKING.values()]


@dataclass
class Team:
    """A checkout whose first environment trains and serves every model."""

    project: Project
    _releases: dict[str, Release] = field(default_factory=dict)

    @property
    def session(self) -> Session:
        """What reads the environment's store, as the command does."""
        return Session(Checkout(self.project.root), self.project.variables, LocalCluster(dict, print, lambda: None))

    def train(self, model: str) -> candidate.Published:
        """Train a model, and return what its Job has published."""
        job = self.project.ask("train", model, "--env", FIRST, "--wait")["job"]
        with self.session.store(FIRST) as store:
            return candidate.read(store, model, job, Checkout(self.project.root).environment(FIRST).shared_name(model))

    def released(self, model: str) -> Release:
        """Return the release of a model that is served; the first time it is trained for that."""
        if model not in self._releases:
            job = self.train(model).candidate.training.job
            identity = self.project.ask("release", model, "--env", FIRST, "--job", job)["release"]
            self.project.stellwerk("promote", model, "--to", FIRST, "--release", identity, "--yes")
            self._releases[model] = self.project.releases.load(model, identity)
        return self._releases[model]

    def pods(self, model: str) -> set[str]:
        """Return the identities of the pods that serve a model."""
        selector = f"serving.kserve.io/inferenceservice={model}"
        return {pod["metadata"]["uid"] for pod in self.project.pods("-n", f"{FIRST}-serving", "-l", selector)}


@pytest.fixture(scope="module")
def team(started: Project) -> Iterator[Team]:
    before = started.stack_file(FIRST).read_text()
    for name in LACKING.values():
        shutil.copytree(STAND_INS.folder / name, started.root / "models" / name, dirs_exist_ok=True)
    try:
        started.edit(FIRST, _every_model)
        started.up(FIRST)
        yield Team(started)
    finally:
        started.stack_file(FIRST).write_text(before)
        started.up(FIRST)
        for name in LACKING.values():
            shutil.rmtree(started.root / "models" / name)


def _every_model(config: Any) -> None:
    """Train and serve all; those that are not served yet by one pod each."""
    for name in NAMES:
        config.setdefault("stellwerk:training", {}).setdefault(name, {})
        none_yet = {"release": None, "previous": None, "replicas": 1}
        config.setdefault("stellwerk:models", {}).setdefault(name, none_yet)


@pytest.mark.parametrize("model", NAMES)
def test_a_model_answers_as_its_trainer_did(team: Team, model: str, tmp_path: Path) -> None:
    release = team.released(model)
    rows = examples.of_release(team.session, FIRST, release)
    assert release.data is not None
    assert rows.rows == min(release.data.rows.held_out, MOST_ROWS)
    authority = tmp_path / "ca.crt"
    authority.write_text(team.project.authority(FIRST))
    asked = Asked(team.project.gateway(FIRST), model, authority)
    assert_answers(asked.by_curl(rows.inputs), rows.outputs)
    for binary in (True, False):
        assert_answers(asked.by_kserve(rows.inputs, binary), rows.outputs)
    answer = team.project.ask("predict", model, "--env", FIRST, "--all-held-out")
    assert answer["release"] == release.metadata.release
    assert answer["metrics"] == pytest.approx(answer["expected_metrics"], abs=1e-5)


@pytest.mark.parametrize("model", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_a_second_training_gives_the_same_file(team: Team, model: str) -> None:
    first = team.released(model)
    team.project.kubectl("-n", f"{FIRST}-training", "delete", "job", first.training.job, "--wait")
    second = team.train(model).candidate
    assert second.run.run_id != first.run.run_id
    assert second.artefact.digest == first.artefact.digest


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_adapters_tests_pass_in_the_frameworks_image(team: Team, framework: Framework, tmp_path: Path) -> None:
    """With the tests and what runs them mounted: no image has them."""
    model = FRAMEWORKS[framework]
    reference = team.released(model).training.image
    # Behind the image's own packages, which have no pytest.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.path.append('/packages')")
    done = run_in_image(
        team.project, reference, f"adapters-{model}",
        {ROOT: "/checkout", Path(pytest.__file__).parents[1]: "/packages", tmp_path: "/customize"},
        "env", "PYTHONPATH=/checkout:/customize", "python", "-m", "pytest", "-c", "/dev/null", "--rootdir=/checkout",
        "--noconftest", "--import-mode=importlib", "-p", "no:cacheprovider", "-v", "tests/training/frameworks",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert re.search(rf"{framework.package}\S* PASSED", done.stdout), done.stdout[-5000:]


def test_a_model_that_is_removed_takes_nothing_of_another_along(team: Team, tmp_path: Path) -> None:
    name, *others = NAMES
    folder = team.project.root / "models" / name
    shutil.copytree(folder, tmp_path / name)
    for other in NAMES:
        team.released(other)
    pods, built = {other: team.pods(other) for other in others}, team.project.output("images", FIRST)
    assert all(pods.values())
    stack_file = team.project.stack_file(FIRST).read_text()
    team.project.stellwerk("model", "remove", name, "--yes")
    try:
        assert not folder.exists()
        assert team.project.answering(FIRST, name) is None
        assert {other: team.pods(other) for other in others} == pods
        left = team.project.output("images", FIRST)
        assert {key: value for key, value in built.items() if key in left} == left
        assert image(name) not in left
    finally:
        shutil.copytree(tmp_path / name, folder, dirs_exist_ok=True)
        team.project.stack_file(FIRST).write_text(stack_file)
        team.project.up(FIRST)
