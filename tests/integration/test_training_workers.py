"""Two pods that train one model together: torchrun connects them over the cluster's network, one run is recorded."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.project import Project

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1200)]
STACK, NAMESPACE, MODEL, WORKERS = "dev", "dev-training", "together", 2


@pytest.fixture
def own(project: Project, restored: Callable[[str], None]) -> Iterator[Project]:
    """A model of the template whose `fit` trains what it distributes, with two workers in dev."""
    restored(STACK)
    project.stellwerk("model", "new", MODEL, "--template", "torch")

    def trained(config: Any) -> None:
        config["stellwerk:training"][MODEL] = {"workers": WORKERS, "resources": {"cpu": "250m", "memory": "1Gi"}}
        config["stellwerk:models"][MODEL] = {"release": None, "previous": None}

    project.edit(STACK, trained)
    yield project
    shutil.rmtree(project.root / "models" / MODEL)
    shutil.rmtree(project.release_file("any", MODEL).parent, ignore_errors=True)


def test_a_model_of_two_pods_is_one_run_and_a_release_that_serves(own: Project) -> None:
    own.up(STACK)
    job = own.ask("train", MODEL, "--wait")["job"]
    pods = own.objects("pods", "-n", NAMESPACE, "-l", f"batch.kubernetes.io/job-name={job}")
    ended = {each["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: each["status"] for each in pods}
    assert {index: status["phase"] for index, status in ended.items()} == {"0": "Succeeded", "1": "Succeeded"}
    assert len({status["podIP"] for status in ended.values()}) == WORKERS
    (run,) = own.ask("runs", MODEL)["runs"]
    assert run["job"] == job
    release = own.ask("release", MODEL, "--job", job)["release"]
    assert own.releases.load(MODEL, release).training.job == job
    own.stellwerk("promote", MODEL, "--to", STACK, "--release", release, "--yes")
    assert own.ask("predict", MODEL, "--env", STACK)["release"] == release
    own.assert_no_changes(STACK)
