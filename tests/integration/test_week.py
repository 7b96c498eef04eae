"""A week of a team: three models, twelve releases, promotions and rollbacks; then every record agrees.

Each change has a requirement in its commit's message. What was predicted meanwhile is traced to it, and back.
"""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ENVIRONMENTS, MODEL, Project, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.lane("alone"), pytest.mark.timeout(3600)]
TEAM = ("letters", "numbers", "signs")
DAYS = 4
# On this day nothing goes further than the first environment.
STAYS = 3
SAMPLES = 12


@dataclass(frozen=True)
class Prediction:
    """What was asked of which model where, which release answered, and which requirement it was made for."""

    model: str
    environment: str
    request: str
    release: str
    requirement: str


@dataclass
class Week:
    """The team's checkout: each day a change and a release of each model."""

    project: Project
    requirements: dict[tuple[str, str], str] = field(default_factory=dict)
    predictions: list[Prediction] = field(default_factory=list)
    moves: dict[tuple[str, str], int] = field(default_factory=dict)

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=self.project.root, check=True, capture_output=True)

    def commit(self, message: str, *paths: str) -> None:
        self.git("add", "--", *paths)
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def work(self, day: int) -> None:
        """Change each model for a requirement, train it, and release it."""
        for number, model in enumerate(TEAM, 1):
            code = self.project.root / "models" / model / "train.py"
            code.write_text(f"{code.read_text()}# day {day}\n")
            self.commit(f"{name(day, number)} {model}: better on day {day}", f"models/{model}")
        self.project.up(ENVIRONMENTS[0])
        in_parallel(*(partial(self._train, day, number, model) for number, model in enumerate(TEAM, 1)))
        self.commit(f"Releases of day {day}", "stacks/releases")

    def _train(self, day: int, number: int, model: str) -> None:
        options = ("--param", "epochs=4", "--param", f"seed={day * 10 + number}", "--wait")
        job = self.project.ask("train", model, *options)["job"]
        release = self.project.ask("release", model, "--job", job)["release"]
        self.requirements[model, release] = name(day, number)

    def promote(self, day: int) -> None:
        """Bring the newest release of each model as far as it goes on this day."""
        path = ENVIRONMENTS[:1] if day == STAYS else ENVIRONMENTS
        for model in TEAM:
            newest = self.project.releases.ids(model)[-1]
            for environment in path:
                chosen = ("--release", newest) if environment == ENVIRONMENTS[0] else ()
                self.project.stellwerk("promote", model, "--to", environment, *chosen, "--yes")
                self._moved(model, environment)
        self.commit(f"Promotions of day {day}", "stacks")

    def roll_back(self) -> None:
        for model in TEAM:
            self.project.stellwerk("rollback", model, "--env", ENVIRONMENTS[-1], "--yes")
            self._moved(model, ENVIRONMENTS[-1])
        self.commit("Rollbacks", "stacks")

    def _moved(self, model: str, environment: str) -> None:
        self.moves[model, environment] = self.moves.get((model, environment), 0) + 1
        answer = self.project.ask("predict", model, "--env", environment, "--rows", "2")
        requirement = self.requirements[model, answer["release"]]
        (request,) = answer["request_ids"]
        self.predictions.append(Prediction(model, environment, request, answer["release"], requirement))

    def trace(self, *arguments: str) -> list[dict[str, dict[str, Any]]]:
        """Return the links of each chain by their kind; a contradiction fails the test."""
        made = self.project.ask("trace", *arguments)
        return [{link["kind"]: link for link in chain["links"]} for chain in made["chains"]]


def name(day: int, number: int) -> str:
    """Return the requirement of a day and a model."""
    return f"WEEK-{day}{number}"


@pytest.fixture
def week(project: Project) -> Iterator[Week]:
    before = {each: project.stack_file(each).read_text() for each in ENVIRONMENTS}
    for model in TEAM:
        folder = project.root / "models" / model
        shutil.copytree(project.root / "models" / MODEL, folder, ignore=shutil.ignore_patterns("tests"))
        document = folder / "model.yaml"
        document.write_text(document.read_text().replace(f"name: {MODEL}\n", f"name: {model}\n"))
    for environment in ENVIRONMENTS:
        project.edit(environment, partial(_serves, trains=environment == ENVIRONMENTS[0]))
        project.up(environment)
    made = Week(project)
    made.commit("Three models", "models", "stacks")
    yield made
    for environment, text in before.items():
        project.write(environment, text)
        project.up(environment)
    for model in TEAM:
        for folder in (project.root / "models" / model, project.release_file("any", model).parent):
            shutil.rmtree(folder, ignore_errors=True)
    made.commit("The week is over", "models", "stacks")


def _serves(config: Any, *, trains: bool) -> None:
    for model in TEAM:
        config["stellwerk:models"][model] = {"release": None, "previous": None, "replicas": 1}
        if trains:
            config["stellwerk:training"][model] = {"resources": {"cpu": "500m", "memory": "2Gi"}}


def test_a_week_leaves_records_that_agree(week: Week, tmp_path: Path) -> None:
    for day in range(1, DAYS + 1):
        week.work(day)
        week.promote(day)
    week.roll_back()
    assert len(week.requirements) == DAYS * len(TEAM)
    week.project.stellwerk("logs", "--request-id", week.predictions[-1].request, "--wait")
    slowest = 0.0
    for asked in random.Random(1).sample(week.predictions, SAMPLES):  # noqa: S311
        began = time.monotonic()
        (chain,) = week.trace(asked.model, "--prediction", asked.request)
        half = time.monotonic()
        assert [item["name"] for item in chain["release"]["items"]] == [asked.release]
        assert asked.requirement in [item["name"] for item in chain["requirement"]["items"]]
        assert chain["stack update"]["items"][-1]["name"].startswith(f"{asked.environment} ")
        back = week.trace(asked.model, "--requirement", asked.requirement, "--env", asked.environment)
        slowest = max(slowest, half - began, time.monotonic() - half)
        stays = [item["about"] for each in back for item in each["stack update"]["items"]]
        assert any(about.startswith(asked.release) for about in stays), f"{asked}: {stays}"
    print(f"{SAMPLES} predictions of {len(week.predictions)} traced both ways, at most {slowest:.1f} s each")
    for model in TEAM:
        history = week.project.ask("history", model)
        assert {each["environment"]: each["disagrees"] for each in history["now"]} == dict.fromkeys(ENVIRONMENTS)
        assert [each for each in history["entries"] if each["disagrees"]] == []
        moved = [each["environment"] for each in history["entries"] if each["after"]]
        assert {each: moved.count(each) for each in ENVIRONMENTS} == {
            each: week.moves[model, each] for each in ENVIRONMENTS
        }
