"""Pods of a cluster and of a plan on a control plane of their own: which of them the scheduler places, and where."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from delivery.clients import control_plane
from delivery.clients.control_plane import ControlPlane, RefusedError
from delivery.clock import Clock
from delivery.errors import DeliveryError
from delivery.operations.requests import used
from delivery.operations.transcription import is_built_in, path, reduced

Object = Mapping[str, Any]

# The scheduler decides on a pod within milliseconds, unless the machine is busy.
_POLL_SECONDS = 0.005
_CONNECTIONS, _MANY = 4, 20
# A namespace of the question's own. What admission says there of a pod shows which limits and quotas it has read: it
# reads the changes of each kind in their order.
_PROBE = {"name": "probe", "namespace": "placement-probe"}
_PROBED_POD = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "none", "image": "none"}]}}
_REFUSES, _ADMITS = {"requests.cpu": "0"}, {"requests.cpu": "1k"}
_EXCEEDED = "exceeded quota"


@dataclass(frozen=True)
class Owner:
    """Who makes pods: kind, namespace and name of the controller; `model` is the model that they are of."""

    kind: str
    namespace: str
    name: str
    model: str | None = None


@dataclass(eq=False)
class Pod:
    """A pod: its manifest, its place among its owner's, its node while it has one, else why it has none."""

    owner: Owner
    body: dict[str, Any]
    slot: str | None = None
    node: str | None = None
    why: str = ""
    # What the API server calls it, and what it has made of the manifest; None while there is none.
    made: Object | None = None


@dataclass
class Placing:
    """The pods on a control plane; nodes, quotas and all else are given once, pods come and go."""

    plane: ControlPlane
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    quotas: list[dict[str, Any]] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    _count: int = 0
    # Namespaces whose quotas count pods that are gone.
    _outdated: set[str] = field(default_factory=set)
    _is_freed: bool = False

    def declare(self, items: Iterable[Object]) -> None:
        """Make objects that are no pods, nor limits of pods."""
        for item in items:
            if not is_built_in(item):
                self._create(reduced(item))

    def _create(self, body: dict[str, Any]) -> None:
        if body["kind"] == "Node":
            self.nodes[body["metadata"]["name"]] = body
        self.plane.create(path(body["kind"], body["metadata"].get("namespace")), body)

    def remove_node(self, name: str) -> list[Pod]:
        """Take a node away, with the pods that it has; return these."""
        self.plane.delete(f"{path('Node', None)}/{self.nodes.pop(name)['metadata']['name']}")
        gone = [pod for pod in self.pods if pod.node == name]
        self.remove(gone)
        return gone

    def bind(self, pods: Sequence[Pod]) -> None:
        """Make pods that have a node already; in which order makes no difference."""
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            list(threads.map(self._make, pods))
        self.pods += pods

    def limit(self, items: Iterable[Object]) -> None:
        """Let limits and quotas hold for all pods from now on: quotas as they are used by those that there are."""
        limits = {"type": "Container", "defaultRequest": {"cpu": "1"}}
        self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _PROBE["namespace"]}})
        for item in [
            *items,
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": _PROBE, "spec": {"limits": [limits]}},
        ]:
            body = reduced(item)
            if item["kind"] != "ResourceQuota":
                self._create(body)
            # Of one with a scope it is not known here which pods it counts.
            elif not item["spec"].keys() & {"scopes", "scopeSelector"}:
                self.quotas.append(body)
        for quota in [*self.quotas, _quota(_REFUSES)]:
            self._create(quota)
        self._count_quotas(self.quotas)

    def _count_quotas(self, quotas: Iterable[Object]) -> None:
        """Write what some quotas are used by, and wait until admission has read it."""
        for quota in quotas:
            specs = [each.made["spec"] for each in self.pods if each.made and each.owner.namespace == _namespace(quota)]
            self._write_status(quota, used(quota["spec"]["hard"], specs))
        for hard, refused in ((_ADMITS, False), (_REFUSES, True)):
            self._write_status(_quota(hard), {"requests.cpu": "0"})
            self._until(partial(self._is_answered, refused), "the API server does not read the quotas")

    def _write_status(self, quota: Object, amounts: Object) -> None:
        place = f"{path('ResourceQuota', _namespace(quota))}/{quota['metadata']['name']}"
        self.plane.replace(f"{place}/status", {**quota, "status": {"hard": quota["spec"]["hard"], "used": amounts}})

    def _is_answered(self, refused: bool) -> bool:
        """Return whether the quota of the question's own refuses a pod, or does not."""
        try:
            self.plane.create(path("Pod", _PROBE["namespace"]), _PROBED_POD, dry=True)
        except RefusedError as error:
            return refused == (_EXCEEDED in str(error))
        return not refused

    def _freed(self, pods: Iterable[Pod]) -> None:
        """Note what is gone: it can be made once more, and the quotas count it until somebody needs the room."""
        for each in pods:
            if each.made is not None:
                self._outdated.add(each.owner.namespace)
            each.made = each.node = None

    def _until(self, done: Callable[[], bool], otherwise: str) -> None:
        deadline = self.clock.monotonic() + control_plane.PATIENCE_SECONDS
        while not done():
            if self.clock.monotonic() > deadline:
                raise DeliveryError(otherwise)
            self.clock.sleep(_POLL_SECONDS)

    def place(self, pods: Sequence[Pod]) -> None:
        """Make pods in this order, and wait until the scheduler has decided on each.

        Where pods have gone since, those that wait already are tried again first, one of each owner and more as long as
        they find room.
        """
        while self._is_freed:
            self._is_freed = False
            waiting = {pod.owner: pod for pod in reversed(self.pods) if pod.node is None}
            again = list(waiting.values())[::-1]
            self._take(again)
            self._make_all(again)
            self._is_freed |= any(pod.node is not None for pod in again)
        self._make_all(pods)

    def _make_all(self, pods: Sequence[Pod]) -> None:
        for pod in pods:
            self._try(pod)
            self.pods.append(pod)
        if pods:
            self._decide()

    def remove(self, pods: Sequence[Pod]) -> None:
        """Take pods away, and what they used of nodes and quotas."""
        self._is_freed |= any(pod.made is not None for pod in pods)
        self._take(pods)

    def put_back(self, pods: Sequence[tuple[Pod, str | None]]) -> None:
        """Make pods again on the nodes that they had."""
        for pod, node in pods:
            if node is not None:
                pod.body["spec"]["nodeName"] = node
            self._try(pod)
            pod.body["spec"].pop("nodeName", None)
            self.pods.append(pod)

    def _take(self, pods: Sequence[Pod]) -> None:
        for pod in pods:
            self.pods.remove(pod)
            if pod.made is not None:
                self.plane.delete(f"{path('Pod', pod.owner.namespace)}/{pod.made['metadata']['name']}")
        self._freed(pods)

    def _try(self, pod: Pod) -> None:
        """Make a pod, or note why it may not be made."""
        namespace = pod.owner.namespace
        try:
            self._make(pod)
        except RefusedError as error:
            if _EXCEEDED in str(error) and namespace in self._outdated:
                self._outdated.discard(namespace)
                self._count_quotas([quota for quota in self.quotas if _namespace(quota) == namespace])
                self._try(pod)
            else:
                pod.why = str(error).partition(" is forbidden: ")[2] or str(error)

    def _make(self, pod: Pod) -> None:
        self._count += 1
        metadata = {**pod.body["metadata"], "name": f"pod-{self._count}-{id(pod):x}"}
        pod.why = ""
        pod.made = self.plane.create(path("Pod", pod.owner.namespace), {**pod.body, "metadata": metadata})
        pod.node = pod.made["spec"].get("nodeName")

    def _decide(self) -> None:
        """Wait until each pod has its node or a reason against it; those that others have displaced come again."""
        self._until(lambda: not self._undecided(), "the scheduler does not decide")
        if displaced := self._displaced():
            self.place(displaced)

    def _undecided(self) -> list[Pod]:
        """Read what the scheduler says of the pods without a node; return those of which it says nothing yet."""
        waiting = {pod.made["metadata"]["name"]: pod for pod in self.pods if pod.made and pod.node is None}
        if not waiting:
            return []
        listed = self.plane.read("/api/v1/pods?fieldSelector=spec.nodeName%3D")["items"]
        unbound = {item["metadata"]["name"]: item for item in listed}
        bound = waiting.keys() - unbound.keys()
        # One after the other is quicker than all of a large cluster.
        everything = self.plane.read("/api/v1/pods")["items"] if len(bound) > _MANY else []
        places = {item["metadata"]["name"]: item["spec"].get("nodeName") for item in everything}
        for name, pod in waiting.items():
            if name in unbound:
                pod.why = _reason(unbound[name])
            else:
                pod.node, pod.why = places.get(name) or self._node(pod, name), ""
        return [pod for pod in waiting.values() if pod.node is None and not pod.why]

    def _node(self, pod: Pod, name: str) -> str | None:
        """Return where a pod is that is not waiting; one that was displaced already is where `_displaced` finds it."""
        try:
            node: str | None = self.plane.read(f"{path('Pod', pod.owner.namespace)}/{name}")["spec"].get("nodeName")
        except RefusedError:
            return _NOWHERE
        return node

    def _displaced(self) -> list[Pod]:
        """Return the pods, without their places, that the scheduler has deleted for others of a higher priority."""
        priorities = {pod.made["spec"].get("priority", 0) for pod in self.pods if pod.made}
        if len(priorities) < 2:
            return []
        alive = {item["metadata"]["name"] for item in self.plane.read("/api/v1/pods")["items"]}
        gone = [pod for pod in self.pods if pod.made and pod.made["metadata"]["name"] not in alive]
        self.pods = [pod for pod in self.pods if pod not in gone]
        self._freed(gone)
        # Of a pod without a controller nobody makes another.
        return [pod for pod in gone if pod.owner.kind != "Pod"]


_NOWHERE = ""


def _namespace(quota: Object) -> str:
    namespace: str = quota["metadata"]["namespace"]
    return namespace


def _quota(hard: Object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _PROBE, "spec": {"hard": hard}}


def _reason(pod: Object) -> str:
    """Return why the scheduler has not placed a pod; empty as long as it has not decided, or makes room for it."""
    status = pod["status"]
    conditions = (each for each in status.get("conditions", []) if each["type"] == "PodScheduled")
    said = next((each.get("message", each.get("reason", "")) for each in conditions if each["status"] == "False"), "")
    return "" if status.get("nominatedNodeName") else str(said)
