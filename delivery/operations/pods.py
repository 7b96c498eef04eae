"""Why a model does not come up: its pods', ReplicaSets' and the scheduler's own reasons, read while they can be."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from delivery.clients import kube
from delivery.errors import DeliveryError
from delivery.operations.events import room
from infra.values import SERVING

_LABEL = "serving.kserve.io/inferenceservice"
_REVISION = "deployment.kubernetes.io/revision"
_IMAGE = ("ErrImagePull", "ImagePullBackOff")
# The kubelet never tries these again with another result.
_FINAL = ("InvalidImageName", "ErrImageNeverPull")
# What the cluster autoscaler and Karpenter say of a pod for which they make a node.
_SCALING = ("TriggeredScaleUp", "Nominated")
# So many seconds something may stay as it is before it counts: a second try often succeeds, room often comes.
_PATIENCE = {"image": 25, "quota": 20, "config": 20, "unschedulable": 40}
_CRASHES = 3
_KILLS = 2
_LINES = 10
# kubectl's answer, with exit code 0, for a container whose log is gone.
_NO_LOG = "unable to retrieve container logs"
# What kubelet and container runtime put before the registry's own words.
_RUNTIME = re.compile(
    r'Back-off pulling image "[^"]*"(: |$)|ErrImagePull: |rpc error: code = \w+ desc = |'
    r'failed to pull and unpack image "[^"]*": |failed to resolve image: '
)
_INTERVAL = 2


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod from serving: for people, and `kind` and `container` for what is done about it."""

    kind: str
    pod: str
    container: str
    text: str
    final: bool = False
    down: bool = True


@dataclass
class Watch:
    """Looks at the pods of one release until it is clear that they will not serve; then `reason` says why."""

    environment: str
    model: str
    release: str
    deadline: float
    console: Console
    reason: str | None = None
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    _shown: set[str] = field(default_factory=set)
    _lines: dict[str, list[str]] = field(default_factory=dict)
    _next: float = 0

    def stop(self) -> bool:
        """Whether waiting on makes no sense: a definite failure is known, or the time is over."""
        now = time.monotonic()
        if self.reason is None and now >= self._next:
            self._look(now)
            self._next = time.monotonic() + _INTERVAL
        if self.reason is None and now >= self.deadline:
            self.reason = self._last_words()
        return self.reason is not None

    def _look(self, now: float) -> None:
        found = self._troubles()
        keys = {(trouble.pod, trouble.kind) for trouble in found}
        self._since = {key: self._since.get(key, now) for key in keys}
        for trouble in found:
            if trouble.text not in self._shown:
                self.console.print(f"  {trouble.text}", style="dim", markup=False, highlight=False, soft_wrap=True)
                self._shown.add(trouble.text)
            self._keep_lines(trouble)
            patience = _PATIENCE.get(trouble.kind)
            lasts = patience is not None and now - self._since[trouble.pod, trouble.kind] >= patience
            if trouble.final or (lasts and not self._node_comes(trouble)):
                self.reason = self._explained(trouble)
                return

    def _node_comes(self, trouble: Trouble) -> bool:
        """Whether an autoscaler has said that it makes room for the pod: that takes minutes, and is no failure."""
        if trouble.kind != "unschedulable":
            return False
        words = ["--namespace", f"{self.environment}-{SERVING}", "get", "events"]
        try:
            events = kube.objects(self.environment, *words, f"--field-selector=involvedObject.name={trouble.pod}")
        except DeliveryError:
            return False
        return any(event.get("reason") in _SCALING for event in events)

    def _troubles(self) -> list[Trouble]:
        try:
            return troubles(self.environment, self.model, self.release)
        except DeliveryError:
            # An API server that does not answer for a moment is no reason; one that is gone makes the engine fail.
            return []

    def _last_words(self) -> str:
        found = self._troubles()
        return self._explained(found[0]) if found else "does not answer with it"

    def _keep_lines(self, trouble: Trouble) -> None:
        """The kubelet keeps the log of one ended container only, and of none while it makes the next one."""
        if trouble.kind == "crash" and not self._lines.get(trouble.pod):
            self._lines[trouble.pod] = last_lines(self.environment, trouble)

    def _explained(self, trouble: Trouble) -> str:
        """The reason with what explains it: the container's last lines, or what takes the room."""
        if trouble.kind == "crash":
            self._keep_lines(trouble)
            return "\n".join([trouble.text, *(f"  | {line}" for line in self._lines.get(trouble.pod, []))])
        if trouble.kind == "unschedulable":
            taken = "\n".join(f"  {line}" for line in room(self.environment, "cpu"))
            return f"{trouble.text}\n{taken}" if taken else trouble.text
        return trouble.text


def troubles(environment: str, model: str, release: str) -> list[Trouble]:
    """What keeps the newest pods of a release from serving, the most definite first; empty when nothing does."""
    namespace = f"{environment}-{SERVING}"
    items = kube.objects(
        environment, "--namespace", namespace, "get", "replicasets,pods", "--selector", f"{_LABEL}={model}"
    )
    sets = [item for item in items if item["kind"] == "ReplicaSet" and _runs(item["spec"]["template"]["spec"], release)]
    if not sets:
        return []
    newest = max(sets, key=lambda item: int(item["metadata"].get("annotations", {}).get(_REVISION, 0)))
    pods = [item for item in items if item["kind"] == "Pod" and _owned(item, newest) and _alive(item)]
    found = [*_refused(newest), *(trouble for pod in pods for trouble in _of_pod(pod))]
    return sorted(found, key=lambda trouble: not trouble.final)


def _runs(spec: dict[str, Any], release: str) -> bool:
    variables = (item for container in spec["containers"] for item in container.get("env", []))
    return any(item["name"] == "RELEASE" and item.get("value") == release for item in variables)


def _owned(pod: dict[str, Any], owner: dict[str, Any]) -> bool:
    return any(item["uid"] == owner["metadata"]["uid"] for item in pod["metadata"].get("ownerReferences", []))


def _alive(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def _refused(replica_set: dict[str, Any]) -> Iterator[Trouble]:
    """Pods that may not be made at all: a quota, or an admission rule."""
    name = replica_set["metadata"]["name"]
    for condition in replica_set.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield Trouble("quota", name, "", f"{name}: its pods are refused: {condition.get('message', '')}")


def _of_pod(pod: dict[str, Any]) -> Iterator[Trouble]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Trouble("unschedulable", name, "", f"{name}: not scheduled: {condition.get('message', '')}")
    specs = {item["name"]: item for key in ("initContainers", "containers") for item in pod["spec"].get(key, [])}
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        yield from _of_container(name, container, specs.get(container["name"], {}))


def _of_container(pod: str, status: dict[str, Any], spec: dict[str, Any]) -> Iterator[Trouble]:
    name, waiting = status["name"], status.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    place = f"{pod}, container {name}"
    if reason in _IMAGE or reason in _FINAL:
        words = _RUNTIME.sub("", message) or reason
        text = f"{place}: image {spec.get('image', '')}: cannot be pulled: {words}"
        yield Trouble("image", pod, name, text, final=reason in _FINAL)
    elif reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        yield Trouble("config", pod, name, f"{place}: {reason}: {message}")
    ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated")
    if ended and (ended.get("exitCode") or ended.get("reason") == "OOMKilled"):
        yield _crash(pod, place, status, spec, ended)


def _crash(pod: str, place: str, status: dict[str, Any], spec: dict[str, Any], ended: dict[str, Any]) -> Trouble:
    """A container that ended by itself; a second and third try are given to it before that is definite."""
    down = "running" not in status.get("state", {})
    times = status.get("restartCount", 0) + down
    if ended.get("reason") == "OOMKilled":
        limit = spec.get("resources", {}).get("limits", {}).get("memory", "none")
        text = f"{place}: OOMKilled: it needs more memory than its limit of {limit}"
        return Trouble("crash", pod, status["name"], text, down and times >= _KILLS, down)
    text = f"{place}: ended with exit code {ended.get('exitCode')}"
    return Trouble("crash", pod, status["name"], text, down and times >= _CRASHES, down)


def last_lines(environment: str, trouble: Trouble) -> list[str]:
    """The last log lines of the container that ended; none when they are not there any more."""
    words = ["--namespace", f"{environment}-{SERVING}", "logs", trouble.pod, "-c", trouble.container]
    for more in ([], ["--previous"]) if trouble.down else (["--previous"],):
        try:
            text = kube.kubectl(environment, *words, f"--tail={_LINES}", "--request-timeout=10s", *more)
        except DeliveryError:
            continue
        if text.strip() and not text.startswith(_NO_LOG):
            return [_message(line) for line in text.strip().splitlines()]
    return []


def _message(line: str) -> str:
    """The message of an ECS line; another line as it is."""
    try:
        return str(json.loads(line)["message"])
    except (ValueError, TypeError, KeyError):
        return line
