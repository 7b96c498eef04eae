"""KServe's real controllers over what the components declare: what a model becomes, and what an upgrade changes."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.kit.access import LogStoreAccessArgs
from components.kit.names import POOL_LABEL
from components.serving.controller_rollout import until_replaced
from components.serving.looks import UnansweredError
from tests.support.devices import CLASS, claimed_devices, publish_class, publish_devices
from tests.support.kserve import NAMESPACE, NOW, OWNERS, PREVIOUS, Installation
from tests.support.simulated import simulated_cluster
from tests.support.tools import eventually

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
REPLICAS = {"digits": 3, "letters": 1}
DEFINITION = "inferenceservices.serving.kserve.io"


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("kserve")
    with simulated_cluster(folder) as plane:
        yield Installation(plane, folder)


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Path]]:
    """One with KServe of today, whose controller runs; its log."""
    folder = tmp_path_factory.mktemp("kserve")
    with simulated_cluster(folder) as plane:
        cluster = Installation(plane, folder)
        cluster.install(NOW)
        with cluster.controller(NOW) as log:
            cluster.direct(NOW)
            yield cluster, log


@pytest.fixture
def serving(current: tuple[Installation, Path]) -> Iterator[tuple[Installation, Path]]:
    """The one that tests share, and its controller's log; afterwards it serves nothing."""
    cluster, log = current
    yield current
    cluster.kubectl("delete", "inferenceservices", "--all", f"--namespace={NAMESPACE}")
    eventually(lambda: not cluster.listed("deployments") and not cluster.listed("pods"), log)


def ready(service: dict[str, Any]) -> bool:
    conditions = service.get("status", {}).get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def served(cluster: Installation) -> bool:
    """Whether all pods that are declared serve, and KServe says so."""
    rolled = all(
        complete(deployment, REPLICAS[name.removesuffix("-predictor")])
        for name, deployment in cluster.deployments().items()
    )
    return rolled and all(map(ready, cluster.listed("inferenceservices")))


def complete(deployment: dict[str, Any], replicas: int) -> bool:
    status = deployment.get("status", {})
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return bool(
        deployment["spec"]["replicas"] == replicas
        and counts == {replicas}
        and status["observedGeneration"] >= deployment["metadata"]["generation"]
    )


class Watched:
    """The fewest pods of each Deployment that were available at a time while something went on."""

    def __init__(self, cluster: Installation) -> None:
        self.fewest: dict[str, int] = {}
        self._cluster, self._over = cluster, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
        while not self._over.wait(0.02):
            for each in self._cluster.plane.read(path)["items"]:
                name, now = each["metadata"]["name"], each["status"].get("availableReplicas", 0)
                self.fewest[name] = min(now, self.fewest.get(name, now))

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_model_becomes_pods_of_its_own_and_rests(serving: tuple[Installation, Path]) -> None:
    cluster, log = serving
    for model, replicas in REPLICAS.items():
        cluster.serve(model, replicas, NOW)
    eventually(lambda: served(cluster), log)
    service = cluster.get("inferenceservice", "digits")
    assert service["metadata"]["finalizers"] == ["inferenceservice.finalizers"]
    annotations = service["metadata"]["annotations"]
    # What a look at the cluster would find different from what is declared.
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
    spec = cluster.deployments()["digits-predictor"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert [each["name"] for each in spec["template"]["spec"]["initContainers"]] == ["storage-initializer"]
    names = {each["metadata"]["name"] for each in cluster.listed("services")}
    assert names == {"digits-predictor", "letters-predictor"}
    scaled = cluster.kubectl("get", "horizontalpodautoscalers,ingresses", "--all-namespaces", "--output=name")
    assert scaled == "", "KServe scales or exposes what is ours to"
    generation = cluster.deployments()["digits-predictor"]["metadata"]["generation"]
    cluster.serve("digits", 3, NOW)
    assert cluster.deployments()["digits-predictor"]["metadata"]["generation"] == generation
    cluster.kubectl("delete", "inferenceservice", "digits", f"--namespace={NAMESPACE}")
    eventually(lambda: list(cluster.deployments()) == ["letters-predictor"], log)


def test_pods_that_ship_their_own_lines_get_login_and_place(serving: tuple[Installation, Path]) -> None:
    access: LogStoreAccessArgs = {
        "url": "https://log-store:9200", "login": {"username": "application", "password": "word"},
        "trust_bundle": "authority", "environment": "prod", "index": "logs-stellwerk-prod",
    }  # fmt: skip
    cluster, log = serving
    cluster.serve("digits", 3, NOW, log_store=access)
    eventually(lambda: "digits-predictor" in cluster.deployments(), log)
    pod = cluster.deployments()["digits-predictor"]["spec"]["template"]["spec"]
    (server,), (fetcher,) = pod["containers"], pod["initContainers"]
    assert {"log-store", "model", "tmp"} <= {each["name"] for each in pod["volumes"]}
    for container, own in ((server, {"model", "tmp"}), (fetcher, {"model"})):
        mounts = {each["name"]: each for each in container["volumeMounts"]}
        assert own | {"log-store"} <= set(mounts) and mounts["log-store"]["mountPath"] == "/log-store"
        given = {each["name"]: each for each in container["env"]}
        assert given["LOG_CONTAINER"]["value"] == container["name"] and given["LOG_STORE"]["value"] == access["url"]
        assert given["POD_UID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"


def variables(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    listed: list[dict[str, Any]] = container.pop("env")
    return listed


@pytest.mark.long
def test_an_upgrade_adds_one_variable_and_replaces_pods_one_by_one(cluster: Installation) -> None:
    cluster.install(PREVIOUS)
    with cluster.controller(PREVIOUS) as log:
        cluster.direct(PREVIOUS)
        for model, replicas in REPLICAS.items():
            cluster.serve(model, replicas, PREVIOUS)
        eventually(lambda: served(cluster), log)
    old, services = cluster.deployments(), cluster.listed("inferenceservices")
    cluster.install(NOW)
    with Watched(cluster) as watched, cluster.controller(NOW) as log:
        eventually(lambda: all(map(_has_variable, cluster.deployments().values())), log)
        cluster.direct(NOW)
        eventually(lambda: served(cluster), log)
        _assert_one_variable(old, cluster.deployments())
        _assert_kept(cluster, services)
        # Then each environment's own update names the mode by its new word.
        for model, replicas in REPLICAS.items():
            cluster.serve(model, replicas, NOW)
        eventually(lambda: served(cluster), log)
        assert watched.fewest == {f"{model}-predictor": replicas for model, replicas in REPLICAS.items()}
        cluster.kubectl("delete", "inferenceservice", "letters", f"--namespace={NAMESPACE}")
        eventually(lambda: list(cluster.deployments()) == ["digits-predictor"], log)


def _has_variable(deployment: dict[str, Any]) -> bool:
    return "INFERENCE_SERVICE_NAME" in str(deployment["spec"]["template"])


def _assert_one_variable(old: Any, new: Any) -> None:
    for name, deployment in new.items():
        model = name.removesuffix("-predictor")
        added = {"name": "INFERENCE_SERVICE_NAME", "value": model}
        assert variables(deployment) == [*variables(old[name]), added]
        assert deployment["spec"] == old[name]["spec"]
        assert deployment["metadata"]["uid"] == old[name]["metadata"]["uid"]


def _assert_kept(cluster: Installation, before: list[dict[str, Any]]) -> None:
    """The objects are stored as they were, and whoever deletes one still waits for the controller."""
    definition = cluster.get("customresourcedefinition", DEFINITION)
    assert definition["status"]["storedVersions"] == ["v1beta1"]
    for was, now in zip(before, cluster.listed("inferenceservices"), strict=True):
        assert now["metadata"]["finalizers"] == was["metadata"]["finalizers"]
        assert now["spec"] == was["spec"]


def test_a_model_claims_its_devices_on_the_pool_that_labels_select(serving: tuple[Installation, Path]) -> None:
    cluster, log = serving
    publish_class(cluster.plane)
    publish_devices(cluster.plane, "node", 2)
    cluster.kubectl("label", "node", "node", "cloud.example.com/group=gpus")
    chosen = {
        "node_pool": "gpus", "node_labels": {"cloud.example.com/group": "gpus"},
        "device_claim": {"device_class": CLASS, "count": 1},
    }  # fmt: skip
    cluster.serve("digits", 2, NOW, **chosen)
    # The scheduler binds a pod once its devices are reserved.
    eventually(lambda: sum("nodeName" in each["spec"] for each in cluster.listed("pods")) == 2, log)
    pods = {each["metadata"]["name"]: each for each in cluster.listed("pods")}
    claimed = claimed_devices(cluster.plane, NAMESPACE)
    assert claimed.keys() == pods.keys()
    assert sorted(device for devices in claimed.values() for device in devices) == [
        ("node", "gpu-0"), ("node", "gpu-1")
    ]  # fmt: skip
    for pod in pods.values():
        assert pod["spec"]["nodeName"] == "node"
        assert pod["metadata"]["annotations"][POOL_LABEL] == "gpus"
        users = [each["name"] for each in pod["spec"]["containers"] if each["resources"].get("claims")]
        assert users == ["kserve-container"]


@pytest.mark.long
def test_in_the_midst_of_an_upgrade_the_controller_of_before_serves_on_and_the_new_one_is_waited_for(
    cluster: Installation,
) -> None:
    cluster.install(PREVIOUS)
    with cluster.controller(PREVIOUS) as log:
        cluster.direct(PREVIOUS)
        # Definitions, role and settings come before the Deployment: other environments may apply in between.
        cluster.install(NOW)
        cluster.serve("digits", REPLICAS["digits"], PREVIOUS)
        eventually(lambda: served(cluster), log)
        # It doesn't know the new word: none of its pods may be left when the owner's own models get it.
        with pytest.raises(AssertionError, match="only supported for raw deployment mode"):
            cluster.serve("digits", REPLICAS["digits"], NOW)
    (amiss,) = replaced(cluster, seconds=0)
    assert "connection refused" in amiss
    with cluster.controller(NOW) as log:
        cluster.direct(NOW)
        assert replaced(cluster, seconds=60) == []
        cluster.serve("digits", REPLICAS["digits"], NOW)
        eventually(lambda: all(map(_has_variable, cluster.deployments().values())), log)
        eventually(lambda: served(cluster), log)
        named = cluster.kubectl("get", "inferenceservices", "--all-namespaces", "--output=name").split()
        assert named == ["inferenceservice.serving.kserve.io/digits"], "a dry run has made something"


def replaced(cluster: Installation, seconds: float) -> list[str]:
    """Return what the wait for a new controller reports, by kubectl as the program runs it."""
    said: list[str] = []

    def run(*arguments: str, stdin: str = "") -> str:
        try:
            return cluster.kubectl(*arguments, f"--namespace={OWNERS}", stdin=stdin)
        except AssertionError as error:
            raise UnansweredError(str(error)) from None

    asyncio.run(until_replaced("kserve-controller-manager", run, said.append, seconds, rest=0))
    return said
