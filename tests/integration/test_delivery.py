"""Training, promotion and rollback by the command: what they ask, what they refuse, and that no request fails."""

import re

import pytest

from tests.support.load import load_on
from tests.support.project import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


@pytest.mark.lane("prod")
def test_promotion_and_rollback_fail_no_request(project: Project) -> None:
    before = project.stack_file("prod").read_text()
    release, previous = project.pointers("prod")
    with load_on(project, "prod") as promoted:
        project.stellwerk("promote", MODEL, "--to", "prod", "--yes")
    assert project.pointers("prod") == (previous, release)
    lines = zip(before.splitlines(), project.stack_file("prod").read_text().splitlines(), strict=True)
    assert [new.strip().split(":")[0] for old, new in lines if old != new] == ["release", "previous"]
    with load_on(project, "prod") as rolled:
        project.stellwerk("rollback", MODEL, "--env", "prod", "--yes")
    assert project.stack_file("prod").read_text() == before
    for phase in (promoted, rolled):
        assert phase.failures == []
        assert set(phase.releases) == {release, previous}
    project.assert_no_changes("prod")


@pytest.mark.lane("prod")
def test_promotion_previews_the_target_and_asks(project: Project) -> None:
    before, state = project.stack_file("prod").read_text(), project.engine_state("prod")
    done = project.stellwerk("promote", MODEL, "--to", "prod", ok=False)
    assert done.returncode != 0
    assert re.search(r"InferenceService", done.stderr)
    assert project.pointers("prod")[1] in done.stderr, "the preview does not show the release"
    assert project.stack_file("prod").read_text() == before
    assert project.engine_state("prod") == state


@pytest.mark.lane("prod")
def test_a_changed_artefact_is_refused_and_the_move_undone(project: Project) -> None:
    """A tampered file of the right size in prod's store: the pod refuses it and says why, the pointer goes back.

    A promotion would bring the artefact again; a rollback copies nothing.
    """
    before = project.stack_file("prod").read_text()
    release = project.releases.load(MODEL, project.pointers("prod")[1])
    (volume,) = (project.state / "data/volumes").glob("*_prod-platform_*")
    artefact = volume / "models" / release.artefact.key
    content = artefact.read_bytes()
    artefact.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    try:
        done = project.stellwerk("rollback", MODEL, "--env", "prod", "--yes", "--timeout", "180", ok=False)
    finally:
        artefact.write_bytes(content)
    assert done.returncode != 0
    assert "storage-initializer: ended with exit code 1" in done.stderr
    assert "it is not served" in done.stderr, "the pod's own reason is lost"
    assert "the state before is applied again" in done.stderr
    assert project.stack_file("prod").read_text() == before
    assert project.answers("prod"), "the release before does not answer any more"


def test_training_the_same_twice_trains_once(project: Project) -> None:
    jobs = [job["metadata"]["name"] for job in project.objects("jobs", "-n", "dev-training")]
    before = list((project.root / "stacks/releases" / MODEL).glob("v*.yaml"))
    name = project.ask("train", MODEL, "--param", "epochs=3", "--wait")["job"]
    assert name in jobs
    release = project.ask("release", MODEL, "--job", name)
    assert project.root / release["file"] in before, "a second release of the same Job"


def test_a_missed_gate_publishes_nothing(project: Project) -> None:
    done = project.stellwerk("train", MODEL, "--param", "epochs=1", "--param", "hidden=1", "--wait", ok=False)
    assert done.returncode != 0
    assert "accuracy is" in done.stderr
    job = re.search(r"job (train-digits-[0-9a-f]{8})", done.stderr)
    assert job
    refused = project.stellwerk("release", MODEL, "--job", job.group(1), ok=False)
    assert refused.returncode != 0
    assert "there is no models/candidates" in refused.stderr
