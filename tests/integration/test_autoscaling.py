"""Kubernetes' own autoscaler beside `pulumi up`: the number of pods that it has decided on stays.

The local cluster measures no CPU. What the autoscaler does without is to keep the number between the least and the
most, so it is made to decide by another least number.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import MODEL, Project, eventually

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.lane("test"), pytest.mark.timeout(900)]
STACK, NAMESPACE = "test", "test-serving"
SCALER, DEPLOYMENT = f"hpa/{MODEL}-scale", f"deployment/{MODEL}-predictor"
LEAST = 2
# Seconds between two looks of the autoscaler's.
LOOK = 15


def read(project: Project, name: str) -> dict[str, Any]:
    """An object of the model's namespace."""
    shown: dict[str, Any] = json.loads(project.kubectl("-n", NAMESPACE, "get", name, "-o", "json"))
    return shown


def replicas(project: Project) -> int:
    """The number of pods that the Deployment asks for."""
    number: int = read(project, DEPLOYMENT)["spec"]["replicas"]
    return number


def decide(project: Project, number: int) -> None:
    """Have the autoscaler decide on a number of pods, and be free again to have fewer."""
    for least in (number, LEAST):
        patch = json.dumps({"spec": {"minReplicas": least}})
        project.kubectl("-n", NAMESPACE, "patch", SCALER, "--type=merge", "--patch", patch)
        eventually(
            f"it has decided on {number}", 60,
            lambda: read(project, SCALER)["status"]["desiredReplicas"] == number == replicas(project),
        )  # fmt: skip
    project.kubectl("-n", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=120s")


def test_an_update_keeps_the_number_that_the_autoscaler_has_decided_on(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored(STACK)
    declared = project.expected[STACK]

    def scaled(config: Any) -> None:
        config["stellwerk:autoscaler"] = {"cpu": True}
        model = config["stellwerk:models"][MODEL]
        model.pop("replicas", None)
        model["autoscaling"] = {"min": LEAST, "max": 3, "cpu": 70}

    project.edit(STACK, scaled)
    project.up(STACK)
    spec = read(project, SCALER)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (LEAST, 3)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{MODEL}-predictor"}

    def finds_it() -> bool:
        conditions = read(project, SCALER).get("status", {}).get("conditions") or []
        return {"AbleToScale": "True"}.items() <= {each["type"]: each["status"] for each in conditions}.items()

    eventually("the autoscaler finds what it scales", 60, finds_it)

    decide(project, 3)
    project.assert_no_changes(STACK)
    before = read(project, DEPLOYMENT)["metadata"]["generation"]
    project.up(STACK)
    time.sleep(2 * LOOK)
    after = read(project, DEPLOYMENT)
    assert (after["spec"]["replicas"], after["metadata"]["generation"]) == (3, before), "somebody has set it meanwhile"

    # A new revision: KServe's change asks for one pod, and what the autoscaler wants is back when the update ends.
    project.edit(
        STACK, lambda config: config["stellwerk:models"][MODEL].update(resources={"cpu": "60m", "memory": "448Mi"})
    )
    project.up(STACK)
    assert replicas(project) == 3
    assert read(project, DEPLOYMENT)["status"]["availableReplicas"] == 3
    assert project.answers(STACK)
    project.assert_no_changes(STACK)

    # Of the revision that was there before the autoscaler came: the number is declared again, and is below its least.
    project.write(STACK, declared)
    project.up(STACK)
    assert replicas(project) == 1
    assert project.objects("hpa", "-n", NAMESPACE) == []
    project.assert_no_changes(STACK)
