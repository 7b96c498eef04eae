"""Who sets the number of a model's pods, which pods go before others, and what an environment of a size asks for."""

from typing import Any

import pytest

from tests.program.conftest import Run
from tests.program.harness import Recording, stack_values

RELEASE = "v2-3f2a9c1d"
KEDA = {"prometheus": "http://prometheus:9090", "query": 'sum(rate(n{s="{model}",n="{namespace}"}[1m]))'}


def scaled(run: Run, autoscaler: dict[str, Any], **scaling: Any) -> Recording:
    given = stack_values("prod")
    given["autoscaler"] = autoscaler
    given["models"]["digits"] = {"release": RELEASE, "autoscaling": scaling}
    return run(given, "prod")


def test_the_autoscaler_alone_changes_the_number_of_pods(run: Run) -> None:
    program = scaled(run, {"cpu": True}, min=2, max=6, cpu=70)
    (scaler,) = program.of_kind("HorizontalPodAutoscaler").values()
    spec = scaler["spec"]
    assert scaler["metadata"]["namespace"] == "prod-serving"
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits-predictor"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)
    (metric,) = spec["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    # KServe makes none of its own, and the first number is not declared again.
    annotations = program.of_kind("InferenceService")["digits"]["metadata"]["annotations"]
    assert annotations["serving.kserve.io/autoscalerClass"] == "external"
    (number,) = program.of_kind("DeploymentPatch").values()
    assert number["spec"] == {"replicas": 2}
    assert number["metadata"]["annotations"]["stellwerk.dev/replicas-of"] == "autoscaler", "of any revision"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("pods", {"type": "Pods", "pods": {"metric": {"name": "rps"}}}),
        (
            "external",
            {
                "type": "External",
                "external": {
                    "metric": {
                        "name": "rps",
                        "selector": {"matchLabels": {"model": "digits", "namespace": "prod-serving"}},
                    }
                },
            },
        ),
    ],
)
def test_requests_are_counted_by_the_adapter_that_the_values_name(
    run: Run, kind: str, expected: dict[str, Any]
) -> None:
    program = scaled(run, {"requests": {"kind": kind, "metric": "rps"}}, max=4, requestsPerSecond=50)
    (metric,) = program.of_kind("HorizontalPodAutoscaler")["digits-autoscaler"]["spec"]["metrics"]
    assert metric[kind].pop("target") == {"type": "AverageValue", "averageValue": "50"}
    assert metric == expected


@pytest.mark.parametrize("to_zero", [True, False])
def test_keda_scales_what_goes_to_zero_and_what_nothing_else_counts(run: Run, to_zero: bool) -> None:
    program = scaled(run, {"keda": KEDA}, max=4, requestsPerSecond=50, scaleToZero=to_zero)
    assert program.of_kind("HorizontalPodAutoscaler") == {}
    spec = program.of_kind("ScaledObject")["digits-autoscaler"]["spec"]
    assert spec.get("idleReplicaCount") == (0 if to_zero else None)
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["fallback"]["replicas"]) == (1, 4, 1)
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["query"] == 'sum(rate(n{s="digits",n="prod-serving"}[1m]))'
    assert trigger["metadata"]["threshold"] == "50"


def test_where_both_count_keda_has_only_what_goes_to_zero(run: Run) -> None:
    both = {"keda": KEDA, "requests": {"kind": "pods", "metric": "rps"}}
    assert scaled(run, both, max=4, requestsPerSecond=5).of_kind("ScaledObject") == {}
    assert scaled(run, both, max=4, requestsPerSecond=5, scaleToZero=True).of_kind("HorizontalPodAutoscaler") == {}


def pod_specs(program: Recording) -> dict[str, Any]:
    kinds = ("Deployment", "StatefulSet")
    made = {name: each["spec"] for kind in kinds for name, each in program.of_kind(kind).items()}
    jobs = {name: each["spec"]["jobTemplate"]["spec"] for name, each in program.of_kind("CronJob").items()}
    return {name: each["template"]["spec"] for name, each in {**made, **jobs}.items()}


def test_the_owner_makes_priority_classes_by_environment(run: Run) -> None:
    given = stack_values("dev")
    given["priority"] = {"value": 1000, "others": {"vision-prod": 3000}}
    program = run(given, "dev")
    classes = {each["metadata"]["name"]: each for each in program.of_kind("PriorityClass").values()}
    assert {name: each["value"] for name, each in classes.items()} == {
        "dev-training": 1000, "dev-serving": 1100, "dev-platform": 1200,
        "vision-prod-training": 3000, "vision-prod-serving": 3100, "vision-prod-platform": 3200,
    }  # fmt: skip
    patient = {name for name, each in classes.items() if each.get("preemptionPolicy") == "Never"}
    assert patient == {"dev-training", "vision-prod-training"}
    assert not any(each["globalDefault"] for each in classes.values()), "nobody else's pods get one"
    specs = pod_specs(program)
    platform = ("gateway", "tracking", "kserve", "registry", "logs-store", "logs-events")
    assert {name: specs[name]["priorityClassName"] for name in platform} == dict.fromkeys(platform, "dev-platform")
    (shipper,) = program.of_kind("DaemonSet").values()
    assert shipper["spec"]["template"]["spec"]["priorityClassName"] == "dev-platform"
    assert specs["train-digits"]["priorityClassName"] == "dev-training"


def test_others_name_a_class_that_there_is(run: Run) -> None:
    given = stack_values("prod")
    given["models"]["digits"].update(release=RELEASE)
    given["priority"] = {"serving": "prod-serving"}
    program = run(given, "prod")
    assert program.of_kind("PriorityClass") == {}
    predictor = program.of_kind("InferenceService")["digits"]["spec"]["predictor"]
    assert predictor["priorityClassName"] == "prod-serving"
    assert "priorityClassName" not in pod_specs(program)["gateway"]


def test_a_size_is_what_the_values_do_not_say(run: Run) -> None:
    given = stack_values("prod")
    given["size"] = "large"
    given["gateway"]["resources"] = {"cpu": "2", "memory": "3Gi"}
    given["quota"].update(memory="64Gi", cpu="16")
    given["models"]["digits"] = {"release": RELEASE, "resources": {"cpu": "100m", "memory": "600Mi"}}
    program = run(given, "prod")
    (number,) = program.of_kind("DeploymentPatch").values()
    assert number["spec"] == {"replicas": 3}
    model = program.of_kind("InferenceService")["digits"]["spec"]["predictor"]["model"]
    assert model["resources"]["requests"] == {"cpu": "100m", "memory": "600Mi"}
    gateway = program.of_kind("Deployment")["gateway"]["spec"]
    (container,) = gateway["template"]["spec"]["containers"]
    assert gateway["replicas"] == 3
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "3Gi"}


@pytest.mark.parametrize("workload", ["gateway", "kserve"])
def test_what_has_several_pods_goes_to_several_nodes_and_zones(run: Run, workload: str) -> None:
    constraints = pod_specs(run(stack_values("dev"), "dev"))[workload]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert {each["whenUnsatisfiable"] for each in constraints} == {"ScheduleAnyway"}, "one node must do"
