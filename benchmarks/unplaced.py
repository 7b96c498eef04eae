"""A cluster of simulated nodes, and training Jobs and models that ask for what none of its nodes has, or has left."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from components.cluster.node_pool import NodePool
from components.kit.names import CAPACITY, GPU
from components.serving.inference_service import InferenceService
from components.serving.looks import SERVICE_LABEL
from components.serving.rollout import REVISION, deployment_name
from components.training.training_pipeline import TrainingPipeline
from delivery.clients.control_plane import ControlPlane
from delivery.clients.kubectl import Kubectl
from infra.targets.variables import LOCAL_CONTEXT
from infra.values import SERVING, TRAINING
from tests.components.declarations import inference_args, static, training_args
from tests.components.mocks import declared
from tests.program.harness import Recording
from tests.support.devices import CLASS, claimed_devices, publish_class, publish_devices
from tests.support.simulated import asked, simulated_cluster

Object = dict[str, Any]
MODEL, ENVIRONMENT, RELEASE, DIGEST = "digits", "dev", "v1-abababab", "benchmark"
INSTANCE = "nvidia.com/mig-1g.10gb"
# By pool: nodes, and what each of them offers. Those of the last one have devices that pods claim.
_POOLS: Mapping[str, tuple[int, dict[str, str]]] = {
    "whole": (2, {GPU: "4"}),
    "instances": (2, {INSTANCE: "1"}),
    "turns": (1, {GPU: "2"}),
    "claimed": (2, {}),
}
_CLAIMED, _DEVICES = "claimed", 2
_SECONDS = 300
_TEMPLATE = "ResourceClaimTemplate"
_APIS = {"CronJob": "/apis/batch/v1", "Deployment": "/apis/apps/v1", _TEMPLATE: "/apis/resource.k8s.io/v1"}


@dataclass(frozen=True)
class Case:
    """What each of so many pods asks for of a pool; `claimed`: by a claim of devices of the class `resource`."""

    what: str
    pool: str
    resource: str
    amount: int = 1
    pods: int = 1
    claimed: bool = False

    def is_said(self, line: str) -> bool:
        """Return whether a line says that the pool has not got it: by the resource's name, too, where it has nodes."""
        return f"pool {self.pool}" in line and (self.resource in line or self.pool not in _POOLS)

    def arguments(self) -> Any:
        """Return the arguments of a component by which its pods ask for it."""
        devices = {} if self.claimed else {self.resource: str(self.amount)}
        claim = {"device_class": self.resource, "count": self.amount} if self.claimed else None
        return {"model": MODEL, "node_pool": self.pool, "devices": devices, "device_claim": claim}


CASES = (
    Case("8 GPUs, nodes have 4", "whole", GPU, 8),
    Case("a GPU of nodes with MIG instances", "instances", GPU),
    Case("a third MIG instance of 2", "instances", INSTANCE, pods=3),
    Case("a third share of 2 by time slicing", "turns", GPU, pods=3),
    Case("a claim of 3 devices, nodes have 2 (DRA)", _CLAIMED, CLASS, 3, claimed=True),
    Case("a GPU of a pool without nodes", "none", GPU),
)


@dataclass(frozen=True)
class Cluster:
    """The cluster, and the folder of what a command that asks it needs."""

    plane: ControlPlane
    folder: Path

    @property
    def kubectl(self) -> Kubectl:
        """Return the cluster as the command asks it."""
        return replace(asked(self.plane), environment=ENVIRONMENT)

    def variables(self) -> dict[str, str]:
        """Return the variables of a command of its own process: the cluster is called as the stack files call it."""
        access = json.loads(self.plane.kubeconfig.read_text())
        access["contexts"][0]["name"] = LOCAL_CONTEXT
        file = self.folder / "kubeconfig"
        file.write_text(json.dumps(access))
        own = {"HOME": str(self.folder), "STELLWERK_STATE": str(self.folder / "state")}
        return {**self.kubectl.variables, **own, "KUBECONFIG": str(file)}

    def create(self, *items: Object) -> None:
        """Make objects in their namespaces."""
        for item in items:
            self.plane.create(_folder(item), item)

    @contextmanager
    def template(self, case: Case) -> Iterator[None]:
        """Have the environment's template of the model's training Jobs, as the component declares it."""
        given = case.arguments() | {"workers": case.pods}
        program = declared(lambda: TrainingPipeline("it", {**training_args(static()), **given}))
        with self._kept(*_declared(program, "CronJob"), *_declared(program, _TEMPLATE)):
            yield

    @contextmanager
    def service(self, case: Case) -> Iterator[float]:
        """Have the Deployment that KServe makes of the model's service; the value is when it was asked for."""
        given = case.arguments() | {"namespace": f"{ENVIRONMENT}-{SERVING}", "release": RELEASE}
        program = declared(lambda: InferenceService("it", {**inference_args(static()), **given}))
        (service,) = _declared(program, "InferenceService")
        deployment = _deployment(service["spec"]["predictor"], case.pods)
        began = time.monotonic()
        with self._kept(*_declared(program, _TEMPLATE), deployment):
            yield began

    @contextmanager
    def _kept(self, *items: Object) -> Iterator[None]:
        self.create(*items)
        yield
        # After a failure the whole cluster goes.
        for item in items:
            self.plane.delete(f"{_folder(item)}/{item['metadata']['name']}?propagationPolicy=Background")
        until(self._is_empty, "the pods before are gone")

    def _is_empty(self) -> bool:
        """Return whether nothing of a workload is left; without a kubelet nobody else ends its pods."""
        left = False
        for purpose in (TRAINING, SERVING):
            namespace = f"namespaces/{ENVIRONMENT}-{purpose}"
            jobs = self.plane.read(f"/apis/batch/v1/{namespace}/jobs")["items"]
            for job in jobs:
                name = job["metadata"]["name"]
                self.plane.delete(f"/apis/batch/v1/{namespace}/jobs/{name}?propagationPolicy=Background")
            sets = self.plane.read(f"/apis/apps/v1/{namespace}/replicasets")["items"]
            pods = self.plane.read(f"/api/v1/{namespace}/pods")["items"]
            for pod in pods:
                self.plane.delete(f"/api/v1/{namespace}/pods/{pod['metadata']['name']}?gracePeriodSeconds=0")
            left |= bool(jobs or sets or pods or claimed_devices(self.plane, f"{ENVIRONMENT}-{purpose}"))
        return not left


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run the cluster as long as the context lasts; raises BenchmarkError where a tool of it is not built."""
    with ExitStack() as cleanup:
        try:
            plane = cleanup.enter_context(simulated_cluster(folder))
        except pytest.skip.Exception as missing:
            raise BenchmarkError(str(missing)) from None
        for purpose in (TRAINING, SERVING):
            plane.create("/api/v1/namespaces", {"metadata": {"name": f"{ENVIRONMENT}-{purpose}"}})
        publish_class(plane)
        for pool, (nodes, devices) in _POOLS.items():
            for node in _nodes(pool, nodes, devices):
                plane.create("/api/v1/nodes", node)
                if pool == _CLAIMED:
                    publish_devices(plane, node["metadata"]["name"], _DEVICES)
        yield Cluster(plane, folder)


def until(done: Callable[[], bool], what: str) -> None:
    """Ask until it is done; raises BenchmarkError with what was waited for when that takes minutes."""
    deadline = time.monotonic() + _SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"not within {_SECONDS} s: {what}")
        time.sleep(0.05)


def _nodes(pool: str, count: int, devices: Mapping[str, str]) -> Iterator[Object]:
    """Yield the nodes of the component without their simulated kubelet: pods stay, and keep what they have."""
    program = declared(lambda: NodePool(pool, {"nodes": count, "accelerator": "a", "gpus": 1, "devices": devices}))
    for node in _declared(program, "Node"):
        room = node["metadata"].pop("annotations")[CAPACITY]["[JSON]"]
        yield {**node, "status": {"capacity": room, "allocatable": room}}


def _deployment(predictor: Object, pods: int) -> Object:
    """Return the Deployment of an inference service as KServe makes it, without what no scheduler looks at."""
    labels, model = {SERVICE_LABEL: MODEL}, predictor["model"]
    spec = {key: predictor[key] for key in ("nodeSelector", "tolerations", "resourceClaims") if key in predictor}
    container = {"name": "kserve-container", **{key: model[key] for key in ("image", "resources", "env")}}
    about = {"labels": labels, "annotations": {REVISION: DIGEST, **predictor.get("annotations", {})}}
    return {
        "kind": "Deployment",
        "metadata": {"name": deployment_name(MODEL), "namespace": f"{ENVIRONMENT}-{SERVING}", "labels": labels},
        "spec": {
            "replicas": pods,
            "selector": {"matchLabels": labels},
            "template": {"metadata": about, "spec": {**spec, "containers": [container]}},
        },
    }


def _declared(program: Recording, kind: str) -> list[Object]:
    """Return the objects of a kind as the API server takes them."""
    items: list[Object] = json.loads(json.dumps(list(program.of_kind(kind).values())))
    return items


def _folder(item: Object) -> str:
    return f"{_APIS[item['kind']]}/namespaces/{item['metadata']['namespace']}/{item['kind'].lower()}s"
