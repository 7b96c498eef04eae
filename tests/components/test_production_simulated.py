"""What keeps production up, on a real API server with real controllers, and simulated nodes."""

import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from components.cluster.priority_classes import PriorityClasses
from components.gateway.gateway import Gateway
from components.serving.autoscaling import AutoscalingArgs
from components.serving.inference_service import InferenceService
from delivery.clients.control_plane import ControlPlane, RefusedError
from infra.local.toolchain.paths import view
from tests.components.declarations import inference_args, static
from tests.support.rendered_objects import accept, define, objects_of, simulated_node
from tests.support.simulated import simulated_cluster, variables
from tests.support.tools import eventually

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
NAMESPACES = ("prod-serving", "prod-platform")
SERVING, PLATFORM = (f"/api/v1/namespaces/{name}" for name in NAMESPACES)
APPS = "/apis/apps/v1/namespaces/{}/deployments"
BUDGETS = "/apis/policy/v1/namespaces/{}/poddisruptionbudgets"
SCALERS = "/apis/autoscaling/v2/namespaces/prod-serving/horizontalpodautoscalers"
LABELS = {"app": "isvc.digits-predictor", "serving.kserve.io/inferenceservice": "digits"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with simulated_cluster(tmp_path_factory.mktemp("cluster")) as made:
        for name in NAMESPACES:
            made.create("/api/v1/namespaces", {"metadata": {"name": name}})
        for number in (1, 2):
            simulated_node(made, f"node-{number}", f"zone-{number}")
        yield made


@pytest.fixture(scope="module")
def keda(plane: ControlPlane) -> None:
    """The definition of KEDA's objects."""
    file = view() / "manifests/keda/schemas/keda.sh_scaledobjects.yaml"
    if not file.is_file():
        pytest.skip("keda-manifests is not built: `.venv/bin/python -m infra.local.toolchain --only keda-manifests`")
    define(plane, file)


def model(autoscaling: AutoscalingArgs | None = None) -> InferenceService:
    return InferenceService("it", {**inference_args(static()), "replicas": 2, "autoscaling": autoscaling})


def as_kserve_makes_it(replicas: int) -> dict[str, Any]:
    """The Deployment of a model, with the labels by which its budget and its spread find it."""
    (service,) = objects_of(model, "InferenceService")
    spread = service["spec"]["predictor"]["topologySpreadConstraints"]
    pod = {"containers": [{"name": "c", "image": "none:1"}], "topologySpreadConstraints": spread}
    template = {"metadata": {"labels": LABELS}, "spec": {**pod, "terminationGracePeriodSeconds": 1}}
    return {
        "metadata": {"name": "digits-predictor", "labels": LABELS},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template},
    }


def pods(plane: ControlPlane, place: str) -> list[dict[str, Any]]:
    """The pods of a namespace that are not on their way out."""
    return [each for each in plane.read(f"{place}/pods")["items"] if "deletionTimestamp" not in each["metadata"]]


def ready(plane: ControlPlane, place: str) -> list[dict[str, Any]]:
    return [
        each
        for each in pods(plane, place)
        if {"type": "Ready", "status": "True"}.items()
        <= next((one for one in each["status"].get("conditions", []) if one["type"] == "Ready"), {}).items()
    ]


def evict(plane: ControlPlane, pod: dict[str, Any]) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    plane.create(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)


def allows_one(plane: ControlPlane, namespace: str) -> bool:
    """Whether the budget of a namespace says by now that a pod may go."""
    (budget,) = plane.read(BUDGETS.format(namespace))["items"]
    return bool(budget.get("status", {}).get("disruptionsAllowed", 0) == 1)


def cordon(plane: ControlPlane, closed: bool) -> None:
    for number in (1, 2):
        node = plane.read(f"/api/v1/nodes/node-{number}")
        plane.replace(f"/api/v1/nodes/node-{number}", {**node, "spec": {**node["spec"], "unschedulable": closed}})


@pytest.fixture
def served(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Two pods of a model with the budget that its component declares, and two gateways with theirs."""
    gateway = {
        "namespace": "prod-platform", "image": "traefik:1", "address": "x", "node_port": 31999, "replicas": 2,
        "tls": {"certificate": "c", "key": "k"}, "routes": [],
        "limits": {"max_body_bytes": 1024, "in_flight": 1, "requests_per_second": 1},
    }  # fmt: skip
    (budget,) = objects_of(model, "PodDisruptionBudget")
    (entry,) = objects_of(lambda: Gateway("gateway", gateway), "Deployment")  # type: ignore[arg-type]
    (entry_budget,) = objects_of(lambda: Gateway("gateway", gateway), "PodDisruptionBudget")  # type: ignore[arg-type]
    entry["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    made = [
        (APPS.format("prod-serving"), as_kserve_makes_it(2)), (BUDGETS.format("prod-serving"), budget),
        (APPS.format("prod-platform"), entry), (BUDGETS.format("prod-platform"), entry_budget),
    ]  # fmt: skip
    for place, item in made:
        accept(plane, place, item)
    for place, namespace in ((SERVING, "prod-serving"), (PLATFORM, "prod-platform")):
        eventually(lambda place=place: len(ready(plane, place)) == 2, plane.kubeconfig)
        eventually(lambda namespace=namespace: allows_one(plane, namespace), plane.kubeconfig)
    yield plane
    for place, item in made:
        plane.delete(f"{place}/{item['metadata']['name']}")
    for place in (SERVING, PLATFORM):
        eventually(lambda place=place: pods(plane, place) == [], plane.kubeconfig)


def test_replicas_are_in_different_zones(served: ControlPlane) -> None:
    for place in (SERVING, PLATFORM):
        assert len({each["spec"]["nodeName"] for each in ready(served, place)}) == 2


@pytest.mark.parametrize("place", [SERVING, PLATFORM])
def test_a_second_pod_is_not_evicted_before_another_is_ready(served: ControlPlane, place: str) -> None:
    first, second = ready(served, place)
    cordon(served, closed=True)
    try:
        evict(served, first)
        eventually(lambda: len(ready(served, place)) == 1, served.kubeconfig)
        with pytest.raises(RefusedError, match="disruption budget"):
            evict(served, second)
    finally:
        cordon(served, closed=False)
    eventually(lambda: allows_one(served, place.rpartition("/")[2]), served.kubeconfig)
    evict(served, second)


def test_a_drained_node_leaves_a_pod_of_each_at_any_time(served: ControlPlane) -> None:
    """kubectl's own drain, by the eviction API, of one node and then, as it is back, of the other."""
    fewest, done = {SERVING: 2, PLATFORM: 2}, threading.Event()

    def watch() -> None:
        while not done.is_set():
            for place in fewest:
                fewest[place] = min(fewest[place], len(ready(served, place)))
            time.sleep(0.02)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for node in ("node-1", "node-2"):
            kubectl(served, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
            left = [each for place in fewest for each in pods(served, place) if each["spec"].get("nodeName") == node]
            assert not left
            kubectl(served, "uncordon", node)
            for place in fewest:
                eventually(lambda place=place: len(ready(served, place)) == 2, served.kubeconfig)
    finally:
        done.set()
        watching.join()
    assert min(fewest.values()) >= 1, fewest


def kubectl(plane: ControlPlane, *words: str) -> None:
    command = ["kubectl", f"--kubeconfig={plane.kubeconfig}", *words]
    # Without a home it would keep what it has learned in the working folder.
    environment = {**variables(), "KUBECACHEDIR": str(plane.kubeconfig.parent / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_autoscaler_sets_the_number_that_nobody_else_does(plane: ControlPlane) -> None:
    """No metrics here: what it does without them is to keep the least number, whatever KServe has made of it."""
    place = APPS.format("prod-serving")
    (scaler,) = objects_of(lambda: model({"least": 3, "most": 6, "cpu": 70}), "HorizontalPodAutoscaler")
    accept(plane, place, as_kserve_makes_it(1))
    made = accept(plane, SCALERS, scaler)
    try:
        assert made["spec"]["metrics"] == scaler["spec"]["metrics"]
        one = f"{place}/digits-predictor"
        eventually(lambda: plane.read(one)["spec"]["replicas"] == 3, plane.kubeconfig)
    finally:
        plane.delete(f"{SCALERS}/{scaler['metadata']['name']}")
        plane.delete(f"{place}/digits-predictor")


@pytest.mark.parametrize("to_zero", [True, False])
def test_keda_knows_every_field_of_what_scales_to_zero(plane: ControlPlane, keda: None, to_zero: bool) -> None:
    trigger: Any = {"url": "http://prometheus", "query": "sum(a)", "polling_seconds": 15, "cooldown_seconds": 300}
    args: AutoscalingArgs = {
        "least": 1, "most": 4, "cpu": 70, "requests_per_second": 50, "prometheus": {**trigger, "to_zero": to_zero},
    }  # fmt: skip
    (scaled,) = objects_of(lambda: model(args), "ScaledObject")
    place = "/apis/keda.sh/v1alpha1/namespaces/prod-serving/scaledobjects"
    name = f"digits-{'zero' if to_zero else 'one'}"
    made = accept(plane, place, scaled, metadata={"name": name})
    assert made["spec"] == scaled["spec"]
    with pytest.raises(RefusedError, match="unknown field"):
        accept(plane, place, {**scaled, "spec": {**scaled["spec"], "idle": 0}}, metadata={"name": "wrong"})


def test_classes_are_what_pods_of_an_environment_may_name(plane: ControlPlane) -> None:
    given = {"values": {"prod-serving": 3100}, "patient": {"prod-training": 3000}}
    for item in objects_of(lambda: PriorityClasses("it", given), "PriorityClass"):  # type: ignore[arg-type]
        accept(plane, "/apis/scheduling.k8s.io/v1/priorityclasses", item)
    pod = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    pod["spec"]["priorityClassName"] = "prod-training"
    made = plane.create(f"{SERVING}/pods?dryRun=All", pod)
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (3000, "Never")
