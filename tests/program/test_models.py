"""How the models of an environment are served, by the values of its file."""

from collections.abc import Mapping
from typing import Any

from tests.program.conftest import Run
from tests.program.harness import Recording, stack_values

RELEASE = "v2-3f2a9c1d"
Programs = Mapping[str, Recording]


def serving_values(**model: Any) -> dict[str, Any]:
    given = stack_values("prod")
    given["models"]["digits"].update(release=RELEASE, **model)
    return given


def revision(program: Recording) -> str:
    """The revision that pods of digits carry."""
    carried: str = program.of_kind("InferenceService")["digits"]["metadata"]["annotations"]["stellwerk.dev/revision"]
    return carried


def test_a_revision_is_what_its_pods_are_made_of(released: Programs, run: Run) -> None:
    one = run(serving_values(nodePool="gpu-sim"), "prod")
    assert revision(one) == revision(released["prod"])
    more = run(serving_values(nodePool="gpu-sim", replicas=3), "prod")
    assert revision(more) == revision(one), "a number of pods is no other pod"
    larger = run(serving_values(nodePool="gpu-sim", resources={"cpu": "1", "memory": "2Gi"}), "prod")
    assert revision(larger) != revision(one)


def test_the_number_of_pods_is_declared_and_nothing_scales_them(run: Run) -> None:
    program = run(serving_values(replicas=3), "prod")
    (scale,) = program.of_kind("DeploymentPatch").values()
    assert (scale["metadata"]["name"], scale["spec"]) == ("digits-predictor", {"replicas": 3})
    annotations = program.of_kind("InferenceService")["digits"]["metadata"]["annotations"]
    assert annotations["serving.kserve.io/autoscalerClass"] == "external"
    budget = program.of_kind("PodDisruptionBudget")["digits-budget"]
    assert budget["spec"]["maxUnavailable"] == 1


def test_pods_of_a_model_ask_for_its_resources(run: Run) -> None:
    given = serving_values(resources={"cpu": "3", "memory": "2Gi"})
    given["quota"]["cpu"] = "6"
    program = run(given, "prod")
    predictor = program.of_kind("InferenceService")["digits"]["spec"]["predictor"]
    asked = {"requests": {"cpu": "3", "memory": "2Gi"}, "limits": {"cpu": "3", "memory": "2Gi"}}
    assert predictor["model"]["resources"] == predictor["initContainers"][0]["resources"] == asked
