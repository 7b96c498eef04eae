"""A cluster that cannot be asked is one message that says what to do; kubectl's real answers, without a cluster."""

import json
import os
import socket
from pathlib import Path

import pytest

from delivery.clients.kubectl import Kubectl
from delivery.clients.plan import Step
from delivery.errors import DeliveryError
from tests.support.tools import tool


def kubeconfig(path: Path, server: str, context: str = "stellwerk") -> Path:
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1", "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )  # fmt: skip
    return path


def using(file: Path, **more: str) -> Kubectl:
    """Return the cluster of prod under a kubeconfig."""
    return Kubectl("prod", "stellwerk", {**os.environ, "KUBECONFIG": str(file), **more})


def answering(tmp_path: Path, text: str) -> dict[str, str]:
    """A kubectl that says this on standard error and knows the contexts of a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    words = tmp_path / "words"
    words.write_text(text)
    script = folder / "kubectl"
    script.write_text(f'#!/bin/sh\nif [ "$1" = config ]; then echo minikube; exit 0; fi\ncat {words} >&2; exit 1\n')
    script.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_a_kubeconfig_that_is_no_file_is_named(tmp_path: Path) -> None:
    kubectl = using(tmp_path / "nowhere")
    with pytest.raises(DeliveryError) as raised:
        kubectl.require()
    assert str(raised.value) == (
        f"cluster of prod: KUBECONFIG names no file: {tmp_path}/nowhere; run `stellwerk cluster up` for the local "
        "cluster, or set KUBECONFIG to the file of yours"
    )


def test_one_file_of_several_is_enough(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", "https://127.0.0.1:1")
    kubectl = Kubectl("prod", "stellwerk", {"KUBECONFIG": f"{tmp_path}/nowhere:{file}"})
    assert kubectl.command("version") == ["kubectl", "--context", "stellwerk", "version"]


@pytest.mark.parametrize("said", ['error: context "stellwerk" does not exist', "error: context was not found: x"])
def test_a_context_that_is_not_in_the_file_is_told_with_those_that_are(said: str, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", "minikube")
    kubectl = using(file, **answering(tmp_path, said))
    with pytest.raises(DeliveryError) as raised:
        kubectl.require()
    assert str(raised.value) == (
        f"cluster of prod: {file} has no context 'stellwerk'; contexts there: minikube; correct "
        "stellwerk:cluster.context in stacks/Pulumi.prod.yaml, or KUBECONFIG"
    )


@pytest.mark.parametrize(
    "said",
    [
        "E1126 01:00:00.0 1 memcache.go:265] couldn't get current server API group list\n"
        "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
        "Unable to connect to the server: dial tcp: lookup nowhere.invalid: no such host",
        "Unable to connect to the server: net/http: TLS handshake timeout",
    ],
)
def test_a_cluster_that_does_not_answer_is_one_line(said: str, tmp_path: Path) -> None:
    kubectl = using(kubeconfig(tmp_path / "config", "https://127.0.0.1:1"), **answering(tmp_path, said))
    with pytest.raises(DeliveryError) as raised:
        kubectl.require()
    message = str(raised.value)
    assert message.startswith(f"cluster of prod does not answer: {said.splitlines()[-1]}; `stellwerk cluster status`")
    assert "\n" not in message


@pytest.mark.tools
def test_real_kubectl_s_words_are_understood(tmp_path: Path) -> None:
    path = f"{tool('kubectl').parent}:/usr/bin:/bin"
    with socket.socket() as taken:
        # Nobody listens there, nor can another one begin to.
        taken.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{taken.getsockname()[1]}"
        kubectl = using(kubeconfig(tmp_path / "config", server), PATH=path)
        with pytest.raises(DeliveryError, match="cluster of prod does not answer: "):
            kubectl.require()
    kubectl = using(kubeconfig(tmp_path / "config", server, "minikube"), PATH=path)
    with pytest.raises(DeliveryError, match=r"has no context 'stellwerk'; contexts there: minikube;"):
        kubectl.require()


def test_what_the_cluster_says_itself_stays(tmp_path: Path) -> None:
    said = 'Error from server (Forbidden): pods is forbidden: User "anna" cannot list resource "pods"'
    kubectl = using(kubeconfig(tmp_path / "config", "https://127.0.0.1:1"), **answering(tmp_path, said))
    with pytest.raises(DeliveryError, match=r"^cluster of prod: Error from server"):
        kubectl.require()


def step(kind: str, identity: str) -> Step:
    return Step(f"urn::{identity}", "same", kind, identity, bool(identity), "")


def test_missing_objects_are_found_in_one_question_a_namespace(tmp_path: Path) -> None:
    listed = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "digits"}},
        # Of the same name, but something else.
        {"apiVersion": "other.example/v1", "kind": "InferenceService", "metadata": {"name": "digits"}},
    ]
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "answer").write_text(json.dumps({"items": listed}))
    script = folder / "kubectl"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncat {tmp_path}/answer\n')
    script.chmod(0o755)
    service = step("kubernetes:serving.kserve.io/v1beta1:InferenceService", "x/digits")
    patched = step("kubernetes:apps/v1:DeploymentPatch", "x/digits-predictor")
    given = [service, step("kubernetes:core/v1:Secret", "x/digits"), patched, step("stellwerk:index:Tenant", "")]
    kubectl = Kubectl("prod", "stellwerk", {"PATH": f"{folder}:/usr/bin:/bin"})
    assert kubectl.missing(given) == [service, patched]
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith(
        "--context stellwerk --namespace x get inferenceservice.v1beta1.serving.kserve.io/digits secret/digits "
        "deployment.v1.apps/digits-predictor "
    )
