"""What the stack files' values alone do: three environments are changed, looked at, and put back, side by side."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.support.project import ENVIRONMENTS, MODEL, Project, copy_release, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.lane("alone"), pytest.mark.timeout(3600)]
GPU_MODEL = "digits-gpu"


def serve_on_gpus(project: Project) -> None:
    """Have dev train its model, and serve a second one, on simulated GPU nodes."""
    release = project.releases.ids(MODEL)[0]
    copy_release(project, GPU_MODEL, release)

    def change(config: Any) -> None:
        config["stellwerk:models"][GPU_MODEL] = {"release": release, "nodePool": "gpu-sim"}
        config["stellwerk:training"][MODEL].update(resources={"cpu": "4", "memory": "2Gi"}, nodePool="gpu-sim")

    project.edit("dev", change)


def serve_nothing(project: Project) -> None:
    """test's models lose their releases."""
    file = project.stack_file("test")
    file.write_text(re.sub(r"(release|previous): v\S+", r"\1: null", file.read_text()))


def serve_twice(project: Project) -> None:
    """prod's model gets a second pod."""
    project.edit("prod", lambda config: config["stellwerk:models"][MODEL].update(replicas=2))


@pytest.fixture(scope="module")
def changed(project: Project) -> Iterator[None]:
    """All three environments with changed values, applied; put back at the end of the module."""
    before = dict(project.expected)
    try:
        for change in (serve_on_gpus, serve_nothing, serve_twice):
            change(project)
        project.expected = {name: project.stack_file(name).read_text() for name in ENVIRONMENTS}
        in_parallel(*(partial(project.up, name) for name in ENVIRONMENTS))
        yield
    finally:
        project.expected = before
        for name, text in before.items():
            project.stack_file(name).write_text(text)
        in_parallel(*(partial(project.up, name) for name in ENVIRONMENTS))


@pytest.mark.usefixtures("changed")
def test_a_job_and_an_inference_service_land_on_the_node_pool_they_name(project: Project) -> None:
    training = ("-n", "dev-training")
    project.kubectl(*training, "create", "job", "on-gpu", f"--from=cronjob/train-{MODEL}")
    try:
        project.kubectl(*training, "wait", "job/on-gpu", "--for=condition=complete", "--timeout=60s")
        jobs = project.objects("pods", *training, "-l", "batch.kubernetes.io/job-name=on-gpu")
        served = project.objects("pods", "-n", "dev-serving", "-l", f"serving.kserve.io/inferenceservice={GPU_MODEL}")
    finally:
        project.kubectl(*training, "delete", "job", "on-gpu")
    assert jobs and served
    assert {pod["spec"]["nodeName"] for pod in [*jobs, *served]} <= {"gpu-sim-0", "gpu-sim-1"}
    # The real scheduler counts it against the node's 8.
    (container,) = jobs[0]["spec"]["containers"]
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"


@pytest.mark.usefixtures("changed")
def test_an_environment_whose_models_have_no_release_comes_up(project: Project) -> None:
    assert project.kubectl("-n", "test-serving", "get", "inferenceservices", "-o", "name") == ""
    assert project.kubectl("-n", "test-serving", "get", "resourcequota", "-o", "name").strip()
    status = project.status("test")
    assert status["release"] is None
    assert not status["ready"]
    project.assert_no_changes("test")
    done = project.stellwerk("predict", MODEL, "--env", "test", ok=False)
    assert done.returncode != 0
    assert "test has no release of digits yet" in done.stderr


@pytest.mark.usefixtures("changed")
def test_the_number_of_pods_follows_the_values_without_an_autoscaler(project: Project) -> None:
    served = ("-n", "prod-serving", "-l", f"serving.kserve.io/inferenceservice={MODEL}")
    (deployment,) = project.objects("deployments", *served)
    assert deployment["status"]["availableReplicas"] == 2
    assert project.objects("horizontalpodautoscalers", "-A") == []
    assert project.objects("events", "-A", "--field-selector", "reason=FailedGetResourceMetric") == []
