"""Whatever part of an update is killed, and whenever: one run more, and nothing shows that it happened."""

from pathlib import Path

import pytest

from tests.faults.kills import LIFE, VICTIMS, kill
from tests.faults.series import Series
from tests.support.project import Project

# Three runs of one life, in each of which another part is killed; a deletion takes longer than all of them.
SHORT = range(12, 15)
LONG = 200


def test_a_seed_is_always_the_same_kill() -> None:
    assert kill(17) == kill(17)
    assert {kill(seed).victim for seed in range(LONG)} == set(VICTIMS)
    assert not any(kill(seed).victim == "program" for seed in range(LONG) if kill(seed).operation == "delete")


def test_a_life_is_made_of_seeds_in_a_row() -> None:
    assert [kill(seed).operation for seed in range(12, 16)] == [name for name, _ in LIFE]
    assert [kill(seed).victim for seed in SHORT] == ["state", "program", "engine"]
    assert {kill(seed).world for seed in SHORT} == {"faults-3"}


@pytest.mark.integration
# Its stacks are its own, so any lane will do: this one is the shortest.
@pytest.mark.lane("test")
@pytest.mark.timeout(3600)
def test_a_killed_run_converges_in_one_run_more(project: Project, tmp_path: Path) -> None:
    kills(project, tmp_path, SHORT)


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_two_hundred_killed_runs_converge_in_one_run_more_each(project: Project, tmp_path: Path) -> None:
    kills(project, tmp_path, range(LONG))


def kills(project: Project, folder: Path, seeds: range) -> None:
    """Run the seeds one after the other; a failure names the seed that repeats it."""
    with Series(folder, {**project.shell, **project.variables}, print) as series:
        for seed in seeds:
            series.run(seed)
        print(series.table())
