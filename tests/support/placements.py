"""Situations played on a cluster: what a plan says of one, and what the cluster then makes of it."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from delivery.clients.control_plane import ControlPlane, RefusedError
from delivery.clients.kubectl import Kubectl
from delivery.operations.fit import Fit, fit
from tests.support.pools import Pools
from tests.support.situations import NAMESPACE, Situation, name_of

Object = dict[str, Any]

# A cluster at rest is the same in so many looks, which take as long on a busy machine as all that a cluster does.
_REST_LOOKS = 20
_CORE = f"/api/v1/namespaces/{NAMESPACE}"
_PATHS = {"Node": "/api/v1/nodes", "ResourceQuota": f"{_CORE}/resourcequotas", "Pod": f"{_CORE}/pods"}
# A cluster in which nothing has moved for so long, and that says why not, has come to rest.
_REST_SECONDS, _PATIENCE_SECONDS = 1.5, 900


@dataclass
class Asked:
    """A session as far as `fit` asks it."""

    cluster: Kubectl
    planes: Callable[[], AbstractContextManager[ControlPlane]]

    def kubectl(self, _: str) -> Kubectl:
        return self.cluster

    def control_plane(self) -> AbstractContextManager[ControlPlane]:
        return self.planes()


@dataclass
class Playground:
    """A cluster by its API server, and as the command asks it; `planes` starts what a plan is placed on."""

    api: ControlPlane
    kubectl: Kubectl
    planes: Callable[[], AbstractContextManager[ControlPlane]]

    def play(self, given: Situation) -> tuple[Fit, set[str]]:
        """Return what is said of a situation's plan, and which workloads then lack a pod; nothing of it stays."""
        try:
            self._begin(given)
            said = fit(Asked(self.kubectl, self.planes), Pools(), "x", given.plan())  # type: ignore[arg-type]
            assert said is not None
            self._nodes(given.more_nodes)
            for workload in given.after:
                self._apply(workload)
                self._rest([workload])
            planned = {name_of(item): item for item in (*given.before, *given.after)}
            lacking = {each["metadata"]["name"] for each in self._rest(planned.values()) if unfinished(each)}
            return said, lacking
        finally:
            self._clean(given)

    def _begin(self, given: Situation) -> None:
        with suppress(RefusedError):
            self.api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self._nodes(given.nodes)
        if given.quota:
            self._apply(given.quota)
        for workload in given.before:
            self._apply(workload)
            self._rest([workload])

    def _nodes(self, nodes: Iterable[Object]) -> None:
        for node in nodes:
            self._apply(node)
        for node in nodes:
            self._until(lambda node=node: _is_ready(self._read(node)))

    def _apply(self, item: Object) -> None:
        try:
            self.api.create(_path(item), item)
        except RefusedError:
            self._until(lambda: self._is_replaced(item))

    def _is_replaced(self, item: Object) -> bool:
        """Return whether an object could be changed; its controllers write to it, too."""
        version = self._read(item)["metadata"]["resourceVersion"]
        changed = {**item, "metadata": {**item["metadata"], "resourceVersion": version}}
        try:
            self.api.replace(f"{_path(item)}/{item['metadata']['name']}", changed)
        except RefusedError:
            return False
        return True

    def _read(self, item: Object) -> Object:
        # A list of one kind leaves out which it is.
        return {**self.api.read(f"{_path(item)}/{item['metadata']['name']}"), "kind": item["kind"]}

    def _rest(self, workloads: Iterable[Object]) -> list[Object]:
        """Return the workloads once all their pods run, or nothing moves any more and the cluster says why."""
        seen, since, looks = "", time.monotonic(), 0
        deadline = since + _PATIENCE_SECONDS
        while True:
            states = [self._read(each) for each in workloads]
            pods = self.api.read(_PATHS["Pod"])["items"]
            if not any(map(unfinished, states)):
                return states
            shown = json.dumps([[each["status"] for each in states], sorted(map(_shown, pods))], sort_keys=True)
            if shown != seen:
                seen, since, looks = shown, time.monotonic(), 0
            looks += 1
            rests = looks > _REST_LOOKS and time.monotonic() - since > _REST_SECONDS
            if rests and all(map(_is_made, states)) and all(map(_is_decided, pods)):
                return states
            assert time.monotonic() < deadline, f"the cluster does not come to rest: {shown}"
            time.sleep(0.05)

    def _clean(self, given: Situation) -> None:
        for item in (*given.after, *given.before):
            self.api.delete(f"{_path(item)}/{item['metadata']['name']}")
        self._until(lambda: not self.api.read(_PATHS["Pod"])["items"])
        for item in (*given.nodes, *given.more_nodes, *filter(None, [given.quota])):
            self.api.delete(f"{_path(item)}/{item['metadata']['name']}")

    def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < deadline, "the cluster does not get there"
            time.sleep(0.05)


def _path(item: Mapping[str, Any]) -> str:
    kind = item["kind"]
    return _PATHS.get(kind) or f"/apis/apps/v1/namespaces/{NAMESPACE}/{kind.lower()}s"


def _is_ready(node: Object) -> bool:
    """Return whether a node is ready for pods: a simulated one has then what it is to have."""
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
    tainted = any(taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", []))
    return conditions.get("Ready") == "True" and not tainted and bool(node["status"].get("allocatable"))


def _shown(pod: Object) -> list[str]:
    return [pod["metadata"]["name"], pod["spec"].get("nodeName", ""), pod["status"]["phase"]]


def _is_made(workload: Object) -> bool:
    """Return whether the controllers have seen a workload; of a Deployment, which has two: and have made its pods."""
    status = workload.get("status", {})
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    refused = any(each["type"] == "ReplicaFailure" for each in status.get("conditions", []))
    return workload["kind"] != "Deployment" or refused or status.get("replicas", 0) >= workload["spec"]["replicas"]


def _is_decided(pod: Object) -> bool:
    """Return whether a pod runs, or the scheduler has said why it does not."""
    return pod["status"]["phase"] == "Running" or bool(
        pod["status"].get("conditions") and not pod["spec"].get("nodeName")
    )


def unfinished(workload: Mapping[str, Any]) -> bool:
    """Return whether a workload of the cluster has not all of its pods, of its latest template, running."""
    status, spec = workload.get("status", {}), workload["spec"]
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 1):
        return True
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return status.get("updatedNumberScheduled", 0) < wanted or status.get("numberAvailable", 0) < wanted
    wanted = spec["replicas"]
    counts = ("updatedReplicas", "availableReplicas", "replicas")
    return any(status.get(count, 0) != wanted for count in counts)
