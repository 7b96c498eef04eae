"""A team's environment: its name stands in the names of what it has on a cluster that others use, too."""

from typing import Any

import pytest

from tests.program.conftest import Run
from tests.program.harness import Recording, stack_values


def of_team(run: Run, stack: str, team: str, **changed: Any) -> Recording:
    return run({**stack_values(stack), "team": team, **changed}, stack)


def named(program: Recording) -> set[str]:
    return {inputs["metadata"]["name"] for inputs in program.of_kind("Namespace").values()}


@pytest.mark.parametrize(("team", "scope"), [("vision", "vision-prod"), ("prod", "prod"), ("pro", "pro-prod")])
def test_namespaces_begin_with_the_team_once(team: str, scope: str, run: Run) -> None:
    assert named(of_team(run, "prod", team)) == {f"{scope}-platform", f"{scope}-serving"}


def test_everything_of_the_team_is_in_its_namespaces(run: Run) -> None:
    program = of_team(run, "dev", "vision")
    namespaces = named(program)
    assert all(name.startswith("vision-dev-") for name in namespaces)
    assert len(namespaces) == len(named(run(stack_values("dev"), "dev")))
    places = {
        (inputs.get("metadata") or {}).get("namespace")
        for kind in ("Deployment", "StatefulSet", "Secret", "ConfigMap", "Service", "CronJob", "RoleBinding")
        for inputs in program.of_kind(kind).values()
    }
    assert places <= namespaces


def test_bucket_and_runs_of_a_team_have_names_of_their_own(run: Run) -> None:
    job = of_team(run, "dev", "vision").of_kind("CronJob")["train-digits"]["spec"]["jobTemplate"]["spec"]["template"]
    variables = {each["name"]: each.get("value") for each in job["spec"]["containers"][0]["env"]}
    assert variables["MODEL_BUCKET"] == "vision-models"
    assert variables["STELLWERK_EXPERIMENT"] == "vision-digits"
