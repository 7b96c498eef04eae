"""What the engine asks before it makes or changes what belongs to a model, with kubectl's answer from a file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.serving.looks import NotServingError
from tests.program.conftest import Programs, Run
from tests.program.harness import Recording
from tests.program.test_models import revision, serving_values

_SERVES = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
_WAITS = ("digits-declared", "digits-serves")


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a kubectl that answers with `answer.json` and keeps in `asked` what it was asked."""
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/asked"\nexec cat "{tmp_path}/answer.json"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def answer(namespace: Path, digest: str) -> None:
    deployment = {
        "kind": "Deployment",
        "metadata": {"labels": {"serving.kserve.io/inferenceservice": "digits"}, "generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {"annotations": {"stellwerk.dev/revision": digest}}}},
        "status": _SERVES,
    }
    (namespace / "answer.json").write_text(json.dumps({"items": [deployment]}))


def hook(program: Recording, name: str) -> Any:
    """Return the call that the engine makes, with the annotations of the budget or of the replicas."""
    kind, resource = {
        "digits-declared": ("DeploymentPatch", "digits-replicas"),
        "digits-serves": ("PodDisruptionBudget", "digits-budget"),
    }[name]
    inputs = program.of_kind(kind)[resource]
    given = pulumi.ResourceHookArgs(
        urn="urn",
        id="",
        name=resource,
        type=kind,
        new_inputs=inputs,
        old_inputs=None,
        new_outputs=None,
        old_outputs=None,
    )
    return program.hooks[name](given)


def test_both_waits_of_a_model_end_once_its_revision_serves_and_share_their_looks(
    released: Programs, namespace: Path
) -> None:
    program = released["prod"]
    answer(namespace, revision(program))

    async def both() -> None:
        await asyncio.gather(*(hook(program, name) for name in _WAITS))

    asyncio.run(both())
    (asked,) = (namespace / "asked").read_text().splitlines()
    assert "--namespace prod-serving" in asked
    assert "serving.kserve.io/inferenceservice in (digits)" in asked


@pytest.mark.parametrize("name", _WAITS)
def test_no_wait_goes_on_after_the_deadline_of_who_applies(name: str, run: Run, namespace: Path) -> None:
    program = run(serving_values(), "prod", STELLWERK_DEADLINE="1")
    answer(namespace, "another")
    with pytest.raises(NotServingError, match="in prod-serving"):
        asyncio.run(hook(program, name))


def test_an_update_of_kserves_controller_waits_for_its_new_pods(released: Programs, namespace: Path) -> None:
    (namespace / "answer.json").touch()
    program = released["dev"]
    given = pulumi.ResourceHookArgs(
        urn="urn", id="", name="kserve", type="Deployment", new_inputs=program.of_kind("Deployment")["kserve"]
    )
    asyncio.run(program.hooks["kserve-replaced"](given))
    asked = (namespace / "asked").read_text().splitlines()
    assert len(asked) == 6
    assert all("--namespace dev-kserve" in words for words in asked)
    assert "get pods --selector app=kserve-controller-manager" in asked[0]
