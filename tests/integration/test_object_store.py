"""What an object store is believed: models only read, forged candidates make no release, changes are seen."""

import contextlib
import hashlib
import json
import os
import re
import signal
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from delivery.operations.events import quantity
from infra.contract.release import Releases
from tests.support.object_store import BUCKET, client
from tests.support.project import MODEL, Project, eventually, read_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600), pytest.mark.usefixtures("service_names")]


def test_a_models_key_reads_and_does_not_write(project: Project, tmp_path: Path) -> None:
    pair, key = project.credentials("test")["objectStore"], project.served("test").artefact.key
    reader = client(project, "test", "object-store-reader", pair["reader"], tmp_path)
    assert reader.head_object(Bucket=BUCKET, Key=key)["ContentLength"] > 0
    for write in (
        lambda: reader.put_object(Bucket=BUCKET, Key=key, Body=b"other"),
        lambda: reader.put_object(Bucket=BUCKET, Key=f"candidates/{MODEL}/forged.json", Body=b"{}"),
        lambda: reader.delete_object(Bucket=BUCKET, Key=key),
        lambda: reader.create_multipart_upload(Bucket=BUCKET, Key=key),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            write()
    for service, login in (("object-store", pair["reader"]), ("object-store-reader", pair)):
        with pytest.raises(ClientError):
            client(project, "test", service, login, tmp_path).get_object(Bucket=BUCKET, Key=key)
    # What the model's pod has been given is the reader's pair, and nothing of the writer's.
    given = project.kubectl("-n", "test-serving", "get", "secrets", "-o", "json")
    secrets = json.loads(given)["items"]
    values = {b64decode(value).decode() for secret in secrets for value in secret.get("data", {}).values()}
    assert pair["reader"]["secretKey"] in values
    assert pair["secretKey"] not in values


@pytest.mark.lane("test")
def test_a_forged_candidate_makes_no_release(project: Project, beside: Project, tmp_path: Path) -> None:
    """With dev's writing key: a Job that never was, and another candidate under a good Job."""
    store = client(project, "dev", "object-store", project.credentials("dev")["objectStore"], tmp_path)
    release = project.served("dev")
    job = release.training.job
    good = store.get_object(Bucket=BUCKET, Key=f"candidates/{MODEL}/{job}.json")["Body"].read()
    before = sorted((beside.root / "stacks" / "releases" / MODEL).iterdir())
    forged = json.loads(good)
    digest = "0" * 64
    forged["artefact"] |= {"digest": f"sha256:{digest}", "size": 7, "key": f"{MODEL}/sha256-{digest}.onnx"}
    forged["training"]["job"] = "train-digits-00000000"
    forged["evaluation"]["gates"] = [
        {"metric": "accuracy", "operator": ">=", "threshold": 0.0, "value": 0.01, "passed": True}
    ]
    key = f"candidates/{MODEL}/train-digits-00000000.json"
    store.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(forged).encode())
    done = beside.stellwerk("release", MODEL, "--job", "train-digits-00000000", ok=False)
    store.delete_object(Bucket=BUCKET, Key=key)
    assert done.returncode == 1
    assert "there is no job train-digits-00000000 any more" in done.stderr
    assert sorted((beside.root / "stacks" / "releases" / MODEL).iterdir()) == before
    # The true one is verified in full: its release is taken away first, and the pointers to it.
    file = beside.release_file(release.metadata.release)
    beside.write("dev", re.sub(r"(release|previous): v\S+", r"\1: null", beside.expected["dev"]))
    file.unlink()
    other = json.loads(good)
    other["data"]["digest"] = f"sha256:{digest}"
    store.put_object(Bucket=BUCKET, Key=f"candidates/{MODEL}/{job}.json", Body=json.dumps(other).encode())
    refused = beside.stellwerk("release", MODEL, "--job", job, ok=False)
    store.put_object(Bucket=BUCKET, Key=f"candidates/{MODEL}/{job}.json", Body=good)
    assert refused.returncode == 1
    assert f"the Job stated sha256:{hashlib.sha256(good).hexdigest()}" in refused.stderr
    made = beside.root / beside.stellwerk("release", MODEL, "--job", job).stdout.strip()
    assert Releases(file.parents[1]).load(MODEL, made.stem).artefact == release.artefact


@pytest.mark.lane("prod")
def test_an_artefact_that_was_changed_is_said_and_brought_again(project: Project, tmp_path: Path) -> None:
    store = client(project, "prod", "object-store", project.credentials("prod")["objectStore"], tmp_path)
    release = project.served("prod")
    artefact = release.artefact

    def is_ready_and(state: str) -> bool:
        # An endpoint and a store that are slow to answer are said not to: the command waits for seconds.
        said = project.status("prod")
        return (said["ready"], said["artefact"]) == (True, state)

    eventually("it is intact", 120, lambda: is_ready_and("intact"))
    store.put_object(Bucket=BUCKET, Key=artefact.key, Body=b"x" * artefact.size)
    eventually("it is changed, and serves on", 120, lambda: is_ready_and("changed"))
    done = project.stellwerk("promote", MODEL, "--to", "prod", "--release", release.metadata.release, "--yes")
    assert f"{artefact.key} was changed in its store; replacing it" in done.stderr
    eventually("it is intact again", 120, lambda: is_ready_and("intact"))


@pytest.fixture
def full(project: Project) -> Iterator[None]:
    """dev-training's quota is used up, for as long as the test lasts."""
    get = ("-n", "dev-training", "get", "resourcequota", "quota", "-o", "json")
    patch = ("-n", "dev-training", "patch", "resourcequota", "quota", "--type=merge", "-p")

    def quota() -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(project.kubectl(*get))
        return shown

    def counts(hard: dict[str, str]) -> bool:
        # What pods are held against is the status, which follows.
        return hard.items() <= quota()["status"].get("hard", {}).items()

    before, less = quota()["spec"]["hard"], {"requests.cpu": "600m"}
    # A Job that a test has deleted leaves its pod for a while.
    eventually("nobody else trains", 300, lambda: quantity(quota()["status"]["used"]["requests.cpu"]) < 0.3)
    project.kubectl(*patch, json.dumps({"spec": {"hard": less}}))
    eventually("the quota counts", 60, lambda: counts(less))
    yield
    project.kubectl(*patch, json.dumps({"spec": {"hard": before}}))
    eventually("the quota of before counts", 60, lambda: counts(before))


def test_a_training_that_the_quota_forbids_says_so_at_once(project: Project, full: None) -> None:
    holder = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "holder"},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            # Nothing has to run: what counts is what it requests.
            "schedulerName": "nobody",
            "containers": [
                {
                    "name": "holder",
                    "image": "stellwerk.local/busybox:1",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "resources": {
                        "requests": {"cpu": "300m", "memory": "8Mi"},
                        "limits": {"cpu": "1", "memory": "8Mi"},
                    },
                }
            ],
        },
    }
    file = project.root.parent / "holder.json"
    file.write_text(json.dumps(holder))
    project.kubectl("-n", "dev-training", "create", "-f", str(file))
    process = project.start(project.command, "train", MODEL, "--param", "seed=4711", "--wait")
    output = ""
    try:
        output = read_until(process, lambda text: "dev-training/holder" in text, seconds=300)
        reason = "waits for room in the quota: FailedCreate: Error creating: its pod is forbidden: exceeded quota"
        assert reason in output
        assert "dev-training/holder: 0.30" in output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait()
        jobs = {f"job/{name}" for name in re.findall(r"train-digits-[0-9a-f]{8}", output)}
        project.kubectl("-n", "dev-training", "delete", *jobs, "pod/holder", "--wait", "--ignore-not-found")
    # What is larger than the whole quota does not even start.
    patch = ("-n", "dev-training", "patch", "resourcequota", "quota", "--type=merge", "-p")
    project.kubectl(*patch, json.dumps({"spec": {"hard": {"requests.cpu": "100m"}}}))
    done = project.stellwerk("train", MODEL, "--param", "seed=4712", ok=False)
    assert done.returncode == 1
    assert "allows requests.cpu=100m, and one pod requests more: it can never run" in " ".join(done.stderr.split())
