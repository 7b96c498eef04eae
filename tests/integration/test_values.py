"""What the stack files' values alone do: one more model, on GPU nodes, one more environment, and one more pod."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.support.cluster import registry_alone
from tests.support.project import ENVIRONMENTS, MODEL, Project, copy_release, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
GPU_MODEL = "digits-gpu"
NAME, SOURCE = "pre-prod", "dev"


def serve_on_gpus(project: Project) -> None:
    """Have dev train its model, and serve a second one, on simulated GPU nodes."""
    release = project.releases.ids(MODEL)[0]
    copy_release(project, GPU_MODEL, release)

    def change(config: Any) -> None:
        config["stellwerk:models"][GPU_MODEL] = {"release": release, "nodePool": "gpu-sim"}
        config["stellwerk:training"][MODEL].update(resources={"cpu": "4", "memory": "2Gi"}, nodePool="gpu-sim")

    project.edit("dev", change)


@pytest.fixture(scope="module")
def changed(project: Project) -> Iterator[None]:
    """dev with changed values, and a fourth environment after it, for which dev's registry has a login.

    At the end of the module the one is as before, and nothing is left of the other.
    """
    before = project.expected
    try:
        project.stellwerk("init", NAME, "--after", SOURCE)
        serve_on_gpus(project)
        project.expected = {**before, "dev": project.stack_file("dev").read_text()}
        # Without a release the one needs nothing of the other; with another login the registry starts again.
        with registry_alone(project):
            in_parallel(partial(project.up, "dev"), partial(project.up, NAME))
        yield
    finally:
        project.expected = before
        project.write("dev", before["dev"])
        with registry_alone(project):
            in_parallel(partial(project.up, "dev"), partial(take_away, project))
        shutil.rmtree(project.release_file("any", GPU_MODEL).parent, ignore_errors=True)


def take_away(project: Project) -> None:
    """Destroy the fourth environment; fail if it leaves anything."""
    if NAME in project.pulumi("stack", "ls").stdout:
        project.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview")
        project.pulumi("stack", "rm", NAME, "--yes")
    assert not project.stack_file(NAME).exists()
    assert f"{NAME}-" not in project.kubectl("get", "namespaces", "-o", "name")
    assert project.answers(SOURCE)


@pytest.mark.usefixtures("changed")
def test_a_job_and_an_inference_service_land_on_the_node_pool_they_name(project: Project) -> None:
    training = ("-n", "dev-training")
    project.kubectl(*training, "create", "job", "on-gpu", f"--from=cronjob/train-{MODEL}")
    try:
        project.kubectl(*training, "wait", "job/on-gpu", "--for=condition=complete", "--timeout=300s")
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
def test_a_fourth_environment_comes_up_without_a_release_takes_one_and_serves_it(project: Project) -> None:
    text = project.stack_file(NAME).read_text()
    assert text.partition("  stellwerk:caCertificate")[0].count("\n") <= 15
    serves_nothing(project)
    project.stellwerk("promote", MODEL, "--to", NAME, "--yes")
    assert project.pointers(NAME)[0] == project.pointers(SOURCE)[0]
    answer = project.ask("predict", MODEL, "--env", NAME)
    assert answer["release"] == project.pointers(SOURCE)[0]
    (line, *_) = project.ask("logs", "--request-id", answer["request_ids"][0], "--wait")["hits"]
    assert line["service.environment"] == NAME
    assert project.ask("drift", "--env", NAME) == {"environments": {NAME: []}}


def serves_nothing(project: Project) -> None:
    """Fail unless the fourth environment is up, and each command says that it has no release yet."""
    serving = ("-n", f"{NAME}-serving", "get")
    assert project.kubectl(*serving, "inferenceservices", "-o", "name") == ""
    assert project.kubectl(*serving, "resourcequota", "-o", "name").strip()
    shown = project.statuses()
    assert set(shown) == {*ENVIRONMENTS, NAME}
    status = shown[NAME]["models"][MODEL]
    assert status["release"] is None
    assert not status["ready"]
    project.assert_no_changes(NAME)
    done = project.stellwerk("predict", MODEL, "--env", NAME, ok=False)
    assert done.returncode != 0
    assert f"{NAME} has no release of digits yet" in done.stderr


@pytest.mark.lane("prod")
def test_the_number_of_pods_follows_the_values_without_an_autoscaler(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored("prod")
    project.edit("prod", lambda config: config["stellwerk:models"][MODEL].update(replicas=2))
    project.up("prod")
    served = ("-n", "prod-serving", "-l", f"serving.kserve.io/inferenceservice={MODEL}")
    (deployment,) = project.objects("deployments", *served)
    assert deployment["status"]["availableReplicas"] == 2
    assert project.objects("horizontalpodautoscalers", "-A") == []
    assert project.objects("events", "-A", "--field-selector", "reason=FailedGetResourceMetric") == []
