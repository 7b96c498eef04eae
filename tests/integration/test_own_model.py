"""A model of a team's own, from its table to a prediction in the second environment, as docs/models.md walks."""

import csv
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ENVIRONMENTS, ROOT, Project

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]
FIRST, *FURTHER = PATH = ENVIRONMENTS[:2]
MODEL, TEMPLATE = "progress", "sklearn"
OWN = ROOT / "tests/support/team/own" / MODEL


@pytest.fixture
def applied(started: Project) -> Iterator[Project]:
    """The first two environments, as they stand in their files."""
    for name in PATH:
        started.up(name)
    before = {name: started.stack_file(name).read_text() for name in PATH}
    yield started
    for name, text in before.items():
        started.stack_file(name).write_text(text)
        started.up(name)
    shutil.rmtree(started.root / "models" / MODEL, ignore_errors=True)


def write_table(file: Path) -> None:
    """Write the table that the team has: numbers, a text, and bodies that nobody has weighed."""
    # Every lane reads all tests, and few of them need this: it takes seconds to import.
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["age", "sex", "bmi", "pressure", "sugar", "progression"])
        for number, (row, progression) in enumerate(zip(bunch.data, bunch.target, strict=True)):
            age, sex, bmi, pressure, *_, sugar = row
            writer.writerow(
                [age, "female" if sex == 1 else "male", "" if number % 20 == 0 else bmi, pressure, sugar, progression]
            )


def test_a_table_of_ones_own_is_a_prediction_in_the_second_environment(applied: Project) -> None:
    began = time.monotonic()
    applied.stellwerk("model", "new", MODEL, "--template", TEMPLATE)
    folder = applied.root / "models" / MODEL
    shutil.rmtree(folder / "tests")
    write_table(folder / "rows.csv")
    for name in ("model.yaml", "train.py"):
        shutil.copy(OWN / name, folder / name)
    applied.edit(FIRST, _trains)
    for name in PATH:
        applied.edit(name, _serves)
        applied.up(name)
    job = applied.ask("train", MODEL, "--wait")["job"]
    release = applied.ask("release", MODEL, "--job", job)["release"]
    applied.stellwerk("promote", MODEL, "--to", FIRST, "--release", release, "--yes")
    for name in FURTHER:
        applied.stellwerk("promote", MODEL, "--to", name, "--yes")
    answer = applied.ask("predict", MODEL, "--env", PATH[-1], "--all-held-out")
    seconds = time.monotonic() - began
    print(f"a model of one's own in {PATH[-1]}: {seconds:.0f} s")
    assert answer["release"] == release
    assert answer["metrics"] == pytest.approx(answer["expected_metrics"], abs=1e-5)
    assert sum(len((folder / name).read_text().splitlines()) for name in ("model.yaml", "train.py")) <= 60


def _trains(config: Any) -> None:
    config.setdefault("stellwerk:training", {})[MODEL] = {}


def _serves(config: Any) -> None:
    config["stellwerk:models"][MODEL] = {"release": None}
