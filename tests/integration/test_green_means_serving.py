"""`pulumi up` ends well only if the revision that it applied serves; otherwise it says why the pods do not."""

import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration.conftest import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
NAMESPACE = "prod-serving"


def edit(project: Project, change: Callable[[Any], None]) -> None:
    """Changes prod's values, as a user with an editor does."""
    yaml = YAML()
    document = yaml.load(project.stack_file("prod"))
    change(document["config"])
    with project.stack_file("prod").open("w") as file:
        yaml.dump(document, file)


def update(project: Project, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """An update; with `seconds` it waits no longer for pods."""
    deadline = {} if seconds is None else {"STELLWERK_DEADLINE": str(time.time() + seconds)}
    return project.pulumi("up", "--stack", "prod", "--yes", "--skip-preview", ok=seconds is None, **deadline)


def model(project: Project, **values: Any) -> None:
    edit(project, lambda config: config["stellwerk:models"][MODEL].update(values))


def test_an_image_that_cannot_be_pulled_fails_the_update_and_leaves_the_pods(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored("prod")
    release = project.pointers("prod")["release"]
    file = project.root / "stacks" / "releases" / MODEL / f"{release}.yaml"
    kept = file.read_text()
    image = re.search(r"serving:\s+image: \S+@sha256:([0-9a-f]{64})", kept)
    assert image
    try:
        file.write_text(kept.replace(image.group(1), "0" * 64))
        done = update(project, seconds=20)
        preview = project.pulumi("preview", "--stack", "prod", "--diff").stdout
    finally:
        file.write_text(kept)
    assert done.returncode != 0, "green although nothing new runs"
    assert re.search(r"ImagePullBackOff|ErrImagePull", done.stdout), done.stdout[-3000:]
    assert "does not serve its new revision" in done.stdout
    assert project.pointers("prod")["ready"], "the pods of the revision before serve"
    assert f"{MODEL}-budget" in preview, "an update that failed is no unchanged preview"


@pytest.mark.long
def test_a_quota_that_others_use_up_fails_the_update(project: Project, restored: Callable[[str], None]) -> None:
    """Somebody else's limits: no rule over the values can know."""
    restored("prod")
    project.kubectl("-n", NAMESPACE, "create", "quota", "full", "--hard=pods=1")
    try:
        model(project, resources={"cpu": "60m", "memory": "512Mi"})
        done = update(project, seconds=20)
    finally:
        project.kubectl("-n", NAMESPACE, "delete", "quota", "full")
    assert done.returncode != 0
    assert "exceeded quota: full" in done.stdout, done.stdout[-3000:]
    assert project.pointers("prod")["ready"]
    update(project)
    project.pulumi("preview", "--stack", "prod", "--expect-no-changes")


def test_the_number_of_pods_follows_the_values_without_an_autoscaler(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored("prod")
    model(project, replicas=2)
    update(project)
    (deployment,) = project.objects("-n", NAMESPACE, "deployments", "-l", f"serving.kserve.io/inferenceservice={MODEL}")
    assert deployment["status"]["availableReplicas"] == 2
    assert project.objects("-A", "horizontalpodautoscalers") == []
    assert project.objects("-A", "events", "--field-selector", "reason=FailedGetResourceMetric") == []
