"""What an object store is believed: models only read, forged candidates make no release, changes are seen."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.contract.release import Release, Releases
from tests.integration.conftest import MODEL, Project, authority

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
BUCKET = "models"


def keys(project: Project, environment: str) -> dict[str, Any]:
    text = project.pulumi("config", "get", "stellwerk:credentials", "--stack", environment).stdout
    found: dict[str, Any] = json.loads(text)["objectStore"]
    return found


def client(project: Project, environment: str, service: str, pair: dict[str, Any], folder: Path) -> "S3Client":
    """As a pod of the environment: by the service's name."""
    trust = folder / f"{environment}.crt"
    trust.write_text(authority(project, environment))
    return boto3.client(
        "s3",
        endpoint_url=f"https://{service}.{environment}-platform.svc:7070",
        aws_access_key_id=pair["accessKey"],
        aws_secret_access_key=pair["secretKey"],
        region_name="us-east-1",
        verify=str(trust),
        config=Config(
            proxies={},
            s3={"addressing_style": "path"},
            retries={"max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@pytest.fixture(autouse=True)
def _names(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of services lead to their addresses, as in a pod."""
    resolve = socket.getaddrinfo

    def lookup(host: Any, *more: Any, **other: Any) -> Any:
        name, _, rest = str(host).partition(".")
        if rest.endswith("-platform.svc"):
            namespace = rest.removesuffix(".svc")
            host = project.kubectl("-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
        return resolve(host, *more, **other)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def served(project: Project, environment: str) -> Release:
    """The release that an environment serves."""
    releases = Releases(project.root / "stacks" / "releases")
    return releases.load(MODEL, project.pointers(environment)["release"])


def test_a_models_key_reads_and_does_not_write(project: Project, tmp_path: Path) -> None:
    pair, key = keys(project, "test"), served(project, "test").artefact.key
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


def test_a_forged_candidate_makes_no_release(project: Project, tmp_path: Path) -> None:
    """With dev's writing key: a Job that never was, and another candidate under a good Job."""
    store = client(project, "dev", "object-store", keys(project, "dev"), tmp_path)
    release = served(project, "dev")
    job = release.training.job
    good = store.get_object(Bucket=BUCKET, Key=f"candidates/{MODEL}/{job}.json")["Body"].read()
    before = sorted((project.root / "stacks" / "releases" / MODEL).iterdir())
    forged = json.loads(good)
    digest = "0" * 64
    forged["artefact"] |= {"digest": f"sha256:{digest}", "size": 7, "key": f"{MODEL}/sha256-{digest}.onnx"}
    forged["training"]["job"] = "train-digits-00000000"
    forged["evaluation"]["gates"] = [
        {"metric": "accuracy", "operator": ">=", "threshold": 0.0, "value": 0.01, "passed": True}
    ]
    key = f"candidates/{MODEL}/train-digits-00000000.json"
    store.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(forged).encode())
    done = project.stellwerk("release", MODEL, "--job", "train-digits-00000000", ok=False)
    store.delete_object(Bucket=BUCKET, Key=key)
    assert done.returncode == 1
    assert "there is no job train-digits-00000000 any more" in done.stderr
    assert sorted((project.root / "stacks" / "releases" / MODEL).iterdir()) == before
    # The true one is verified in full: its release is taken away first, and the pointers to it.
    file = project.root / "stacks" / "releases" / MODEL / f"{release.metadata.release}.yaml"
    text, pointing = file.read_text(), project.stack_file("dev").read_text()
    project.stack_file("dev").write_text(re.sub(r"(release|previous): v\S+", r"\1: null", pointing))
    file.unlink()
    try:
        other = json.loads(good)
        other["data"]["digest"] = f"sha256:{digest}"
        store.put_object(Bucket=BUCKET, Key=f"candidates/{MODEL}/{job}.json", Body=json.dumps(other).encode())
        refused = project.stellwerk("release", MODEL, "--job", job, ok=False)
        store.put_object(Bucket=BUCKET, Key=f"candidates/{MODEL}/{job}.json", Body=good)
        assert refused.returncode == 1
        assert f"the Job stated sha256:{hashlib.sha256(good).hexdigest()}" in refused.stderr
        made = project.root / project.stellwerk("release", MODEL, "--job", job).stdout.strip()
        assert Releases(file.parents[1]).load(MODEL, made.stem).artefact == release.artefact
        if made != file:
            made.unlink()
    finally:
        file.write_text(text)
        project.stack_file("dev").write_text(pointing)


def test_an_artefact_that_was_changed_is_said_and_brought_again(project: Project, tmp_path: Path) -> None:
    store = client(project, "test", "object-store", keys(project, "test"), tmp_path)
    release = served(project, "test")
    artefact = release.artefact
    assert project.pointers("test")["artefact"] == "intact"
    store.put_object(Bucket=BUCKET, Key=artefact.key, Body=b"x" * artefact.size)
    state = project.pointers("test")
    assert (state["ready"], state["artefact"]) == (True, "changed")
    done = project.stellwerk("promote", MODEL, "--to", "test", "--release", release.metadata.release, "--yes")
    assert f"{artefact.key} was changed in its store; replacing it" in done.stderr
    assert project.pointers("test")["artefact"] == "intact"


@pytest.fixture
def full(project: Project) -> Iterator[None]:
    """dev-training's quota is used up, for as long as the test lasts."""
    quota = ("-n", "dev-training", "get", "resourcequota", "quota", "-o", "json")
    hard = json.loads(project.kubectl(*quota))["spec"]["hard"]
    patch = ("-n", "dev-training", "patch", "resourcequota", "quota", "--type=merge", "-p")
    project.kubectl(*patch, json.dumps({"spec": {"hard": {"requests.cpu": "600m"}}}))
    yield
    project.kubectl(*patch, json.dumps({"spec": {"hard": hard}}))


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
    command = [str(project.root / ".venv/bin/stellwerk"), "train", MODEL, "--param", "seed=4711", "--wait"]
    process = subprocess.Popen(
        command, cwd=project.root, env={**project.base, **project.environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    lines: list[str] = []
    try:
        assert process.stdout is not None
        began = time.monotonic()
        while "dev-training/holder" not in "".join(lines) and time.monotonic() - began < 120:
            lines.append(process.stdout.readline())
        said = "".join(lines)
        assert "waits for room in the quota: FailedCreate: Error creating: its pod is forbidden: exceeded quota" in said
        assert "dev-training/holder: 0.30" in said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait()
        job = next((word for line in lines for word in line.replace(":", " ").split() if "train-digits-" in word), None)
        for name in filter(None, (f"job/{job}" if job else None, "pod/holder")):
            project.kubectl("-n", "dev-training", "delete", name, "--wait", "--ignore-not-found")
    # What is larger than the whole quota does not even start.
    patch = ("-n", "dev-training", "patch", "resourcequota", "quota", "--type=merge", "-p")
    project.kubectl(*patch, json.dumps({"spec": {"hard": {"requests.cpu": "100m"}}}))
    done = project.stellwerk("train", MODEL, "--param", "seed=4712", ok=False)
    assert done.returncode == 1
    assert "allows requests.cpu=100m, and one pod requests more: it can never run" in " ".join(done.stderr.split())
