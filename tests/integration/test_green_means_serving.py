"""`pulumi up` ends well only if the revision that it applied serves; otherwise it says why the pods do not."""

import re
import time
from collections.abc import Callable

import pytest

from tests.support.project import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.lane("prod"), pytest.mark.timeout(3600)]
NAMESPACE = "prod-serving"


def deadline(seconds: float) -> dict[str, str]:
    """Return the variable with which an update waits no longer for pods."""
    return {"STELLWERK_DEADLINE": str(time.time() + seconds)}


def test_an_image_that_cannot_be_pulled_fails_the_update_and_leaves_the_pods(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored("prod")
    release = project.pointers("prod")[0]
    text = project.release_file(release).read_text()
    image = re.search(r"serving:\s+image: \S+@sha256:([0-9a-f]{64})", text)
    assert image
    # Other environments run the true one: this one has a name of its own.
    broken = re.sub(r"^v\d+", "v99", release)
    file = project.release_file(broken)
    file.write_text(text.replace(f"release: {release}", f"release: {broken}").replace(image.group(1), "0" * 64))
    project.edit("prod", lambda config: config["stellwerk:models"][MODEL].update(release=broken))
    try:
        done = project.up("prod", ok=False, **deadline(180))
        preview = project.pulumi("preview", "--stack", "prod", "--diff").stdout
    finally:
        # Before the release is gone: other lanes read the file.
        project.write("prod", project.expected["prod"])
        file.unlink()
    assert done.returncode != 0, "green although nothing new runs"
    assert re.search(r"ImagePullBackOff|ErrImagePull", done.stdout), done.stdout[-3000:]
    assert "does not serve its new revision" in done.stdout
    assert project.answering("prod") == release, "the pods of the revision before do not serve"
    assert f"{MODEL}-budget" in preview, "an update that failed is no unchanged preview"


@pytest.mark.long
def test_a_quota_that_others_use_up_fails_the_update(project: Project, restored: Callable[[str], None]) -> None:
    """Somebody else's limits: no rule over the values can know."""
    restored("prod")
    project.kubectl("-n", NAMESPACE, "create", "quota", "full", "--hard=pods=1")
    try:
        resources = {"cpu": "60m", "memory": "512Mi"}
        project.edit("prod", lambda config: config["stellwerk:models"][MODEL].update(resources=resources))
        done = project.up("prod", ok=False, **deadline(60))
    finally:
        project.kubectl("-n", NAMESPACE, "delete", "quota", "full")
    assert done.returncode != 0
    assert "exceeded quota: full" in done.stdout, done.stdout[-3000:]
    assert project.answers("prod")
    project.up("prod")
    project.assert_no_changes("prod")
