"""`pulumi up` ends well only if the revision that it applied serves; otherwise it says why the pods do not."""

import re
import time
from collections.abc import Callable

import pytest

from tests.support.project import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
NAMESPACE = "prod-serving"


def deadline(seconds: float) -> dict[str, str]:
    """Return the variable with which an update waits no longer for pods."""
    return {"STELLWERK_DEADLINE": str(time.time() + seconds)}


def test_an_image_that_cannot_be_pulled_fails_the_update_and_leaves_the_pods(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored("prod")
    file = project.release_file(project.pointers("prod")[0])
    kept = file.read_text()
    image = re.search(r"serving:\s+image: \S+@sha256:([0-9a-f]{64})", kept)
    assert image
    try:
        file.write_text(kept.replace(image.group(1), "0" * 64))
        done = project.up("prod", ok=False, **deadline(20))
        preview = project.pulumi("preview", "--stack", "prod", "--diff").stdout
    finally:
        file.write_text(kept)
    assert done.returncode != 0, "green although nothing new runs"
    assert re.search(r"ImagePullBackOff|ErrImagePull", done.stdout), done.stdout[-3000:]
    assert "does not serve its new revision" in done.stdout
    assert project.answers("prod"), "the pods of the revision before serve"
    assert f"{MODEL}-budget" in preview, "an update that failed is no unchanged preview"


@pytest.mark.long
def test_a_quota_that_others_use_up_fails_the_update(project: Project, restored: Callable[[str], None]) -> None:
    """Somebody else's limits: no rule over the values can know."""
    restored("prod")
    project.kubectl("-n", NAMESPACE, "create", "quota", "full", "--hard=pods=1")
    try:
        resources = {"cpu": "60m", "memory": "512Mi"}
        project.edit("prod", lambda config: config["stellwerk:models"][MODEL].update(resources=resources))
        done = project.up("prod", ok=False, **deadline(20))
    finally:
        project.kubectl("-n", NAMESPACE, "delete", "quota", "full")
    assert done.returncode != 0
    assert "exceeded quota: full" in done.stdout, done.stdout[-3000:]
    assert project.answers("prod")
    project.up("prod")
    project.assert_no_changes("prod")
