"""Promotion and rollback as diffs, node pools, and environments without a release."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infra.contract.release import Releases
from tests.integration.conftest import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
_LOAD = """
import json, subprocess, sys
from delivery.operations.load import Load
with Load("prod", "digits") as load:
    done = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE, text=True)
print(json.dumps({"code": done.returncode, "words": done.stderr[-3000:], "failed": load.failed,
                  "first": load.first_failure, "answered": load.releases}))
"""


def test_promotion_and_rollback_fail_no_request(project: Project) -> None:
    before = project.stack_file("prod").read_text()
    there = project.pointers("prod")
    promoted = under_load(project, "promote", MODEL, "--to", "prod", "--yes")
    moved = project.pointers("prod")
    lines = zip(before.splitlines(), project.stack_file("prod").read_text().splitlines(), strict=True)
    assert [new.strip().split(":")[0] for old, new in lines if old != new] == ["release", "previous"]
    assert (moved["release"], moved["previous"]) == (there["previous"], there["release"])
    rolled = under_load(project, "rollback", MODEL, "--env", "prod", "--yes")
    assert project.stack_file("prod").read_text() == before
    for phase in (promoted, rolled):
        assert set(phase["answered"]) == {there["release"], there["previous"]}, phase
    project.pulumi("preview", "--stack", "prod", "--expect-no-changes")


def under_load(project: Project, *arguments: str) -> dict[str, object]:
    python = str(project.root / ".venv/bin/python")
    done = project.run(python, "-c", _LOAD, python, "-m", "delivery.cli", *arguments)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    assert found["code"] == 0, found["words"]
    assert found["failed"] == 0, found["first"]
    return found


def test_promotion_previews_the_target_and_asks(project: Project) -> None:
    before = project.stack_file("prod").read_text()
    state = project.pulumi("stack", "export", "--stack", "prod").stdout
    done = project.stellwerk("promote", MODEL, "--to", "prod", ok=False)
    assert done.returncode != 0
    assert re.search(r"InferenceService", done.stderr)
    assert project.pointers("prod")["previous"] in done.stderr, "the preview does not show the release"
    assert project.stack_file("prod").read_text() == before
    assert project.pulumi("stack", "export", "--stack", "prod").stdout == state


def test_a_changed_artefact_is_refused_and_the_move_undone(project: Project) -> None:
    """A tampered file of the right size in prod's store: the pod refuses it and says why, the pointer goes back.

    A promotion would bring the artefact again; a rollback copies nothing.
    """
    before = project.stack_file("prod").read_text()
    there = project.pointers("prod")
    release = Releases(project.root / "stacks" / "releases").load(MODEL, there["previous"])
    (volume,) = (project.state / "data/volumes").glob("*_prod-platform_*")
    artefact = volume / "models" / release.artefact.key
    content = artefact.read_bytes()
    artefact.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    try:
        done = project.stellwerk("rollback", MODEL, "--env", "prod", "--yes", "--timeout", "30", ok=False)
    finally:
        artefact.write_bytes(content)
    assert done.returncode != 0
    assert "storage-initializer: ended with exit code 1" in done.stderr
    assert "it is not served" in done.stderr, "the pod's own reason is lost"
    assert "the state before is applied again" in done.stderr
    assert project.stack_file("prod").read_text() == before
    assert project.pointers("prod")["ready"], "the release before does not answer any more"


def test_a_job_and_an_inference_service_land_on_the_node_pool_they_name(
    project: Project, restored: Callable[[str], None]
) -> None:
    """A second model on simulated GPU nodes, declared by values alone."""
    restored("dev")
    copy_release(project, "digits-gpu")
    file = project.stack_file("dev")
    yaml = YAML(typ="rt")
    yaml.width = 1 << 20
    document = yaml.load(file)
    release = Releases(project.root / "stacks" / "releases").ids("digits-gpu")[0]
    document["config"]["stellwerk:models"]["digits-gpu"] = {"release": release, "nodePool": "gpu-sim"}
    document["config"]["stellwerk:training"]["digits-gpu"] = {
        "resources": {"cpu": "4", "memory": "2Gi"}, "nodePool": "gpu-sim",
    }  # fmt: skip
    yaml.dump(document, file)
    project.pulumi("up", "--stack", "dev", "--yes", "--skip-preview")
    project.kubectl("-n", "dev-training", "create", "job", "on-gpu", "--from=cronjob/train-digits-gpu")
    try:
        project.kubectl("-n", "dev-training", "wait", "job/on-gpu", "--for=condition=complete", "--timeout=60s")
        jobs = project.objects("pods", "-n", "dev-training", "-l", "batch.kubernetes.io/job-name=on-gpu")
        served = project.objects("pods", "-n", "dev-serving", "-l", "serving.kserve.io/inferenceservice=digits-gpu")
        nodes = {pod["spec"]["nodeName"] for pod in [*jobs, *served]}
        assert jobs
        assert served
        assert nodes <= {"gpu-sim-0", "gpu-sim-1"}, nodes
        # The real scheduler counts it against the node's 8.
        (container,) = jobs[0]["spec"]["containers"]
        assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
    finally:
        project.kubectl("-n", "dev-training", "delete", "job", "on-gpu")


def copy_release(project: Project, model: str, identity: str | None = None) -> None:
    """A release of `digits`, the first one unless said otherwise, under another model's name."""
    store = project.root / "stacks" / "releases"
    identity = identity or Releases(store).ids(MODEL)[0]
    text = (store / MODEL / f"{identity}.yaml").read_text()
    (store / model).mkdir(exist_ok=True)
    Path(store / model / f"{identity}.yaml").write_text(
        text.replace("model: digits", f"model: {model}").replace("key: digits/", f"key: {model}/")
    )


def test_an_environment_whose_models_have_no_release_comes_up(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored("test")
    file = project.stack_file("test")
    text = file.read_text()
    file.write_text(re.sub(r"(release|previous): v\S+", r"\1: null", text))
    project.pulumi("up", "--stack", "test", "--yes", "--skip-preview")
    assert project.kubectl("-n", "test-serving", "get", "inferenceservices", "-o", "name") == ""
    assert project.kubectl("-n", "test-serving", "get", "resourcequota", "-o", "name").strip()
    found = project.pointers("test")
    assert found["release"] is None
    assert not found["ready"]
    project.pulumi("preview", "--stack", "test", "--expect-no-changes")
    done = project.stellwerk("predict", MODEL, "--env", "test", ok=False)
    assert done.returncode != 0
    assert "test has no release of digits yet" in done.stderr


def test_training_the_same_twice_trains_once(project: Project) -> None:
    jobs = {job["metadata"]["name"]: job["metadata"]["uid"] for job in project.objects("jobs", "-n", "dev-training")}
    name = project.ask("train", MODEL, "--param", "epochs=3", "--wait")["job"]
    assert name in jobs
    began = time.monotonic()
    release = project.ask("release", MODEL, "--job", name)
    assert (project.root / release["file"]).is_file()
    assert len(list((project.root / "stacks/releases" / MODEL).glob("v*.yaml"))) == 2, time.monotonic() - began


def test_a_missed_gate_publishes_nothing(project: Project) -> None:
    done = project.stellwerk("train", MODEL, "--param", "epochs=1", "--param", "hidden=1", "--wait", ok=False)
    assert done.returncode != 0
    assert "accuracy is" in done.stderr
    job = re.search(r"job (train-digits-[0-9a-f]{8})", done.stderr)
    assert job
    refused = project.stellwerk("release", MODEL, "--job", job.group(1), ok=False)
    assert refused.returncode != 0
    assert "there is no models/candidates" in refused.stderr
