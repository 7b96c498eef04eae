"""Why a model does not come up: its pods', ReplicaSets' and the scheduler's own reasons, read while they can be."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from components.kit import pod_state
from components.kit.pod_state import Fault, FaultKind
from components.serving.looks import SERVICE_LABEL as _LABEL
from delivery.clients.kubectl import Kubectl
from delivery.clock import Clock
from delivery.errors import DeliveryError
from delivery.operations.events import SCALING, room
from delivery.operations.pool_room import pool_lines, unscheduled
from infra.values import SERVING

_REVISION = "deployment.kubernetes.io/revision"
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
    """A look at the pods of one release until it is clear that they will not serve; then `reason` says why."""

    kubectl: Kubectl
    clock: Clock
    model: str
    release: str
    deadline: float
    console: Console
    reason: str | None = None
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    _shown: set[str] = field(default_factory=set)
    _pool_shown: bool = False
    _lines: dict[str, list[str]] = field(default_factory=dict)
    _next: float = 0

    def stop(self) -> bool:
        """Return whether waiting on makes no sense: a definite failure is known, or the time is over."""
        now = self.clock.monotonic()
        if self.reason is None and now >= self._next:
            self._look(now)
            self._next = self.clock.monotonic() + _INTERVAL
        if self.reason is None and now >= self.deadline:
            self.reason = self._last_words()
        return self.reason is not None

    def _look(self, now: float) -> None:
        seen = self._troubles()
        keys = {(trouble.pod, trouble.kind) for trouble in seen}
        self._since = {key: self._since.get(key, now) for key in keys}
        for trouble in seen:
            self._show(trouble)
            self._keep_lines(trouble)
            patience = _PATIENCE.get(trouble.kind)
            lasts = patience is not None and now - self._since[trouble.pod, trouble.kind] >= patience
            if trouble.final or (lasts and not self._node_comes(trouble)):
                self.reason = self._explained(trouble)
                return

    def _show(self, trouble: Trouble) -> None:
        """Print what was not yet, and of the first pod without a node what its pool lacks: it is the same for all."""
        if trouble.text in self._shown:
            return
        lines = [trouble.text]
        if trouble.kind == "unschedulable" and not self._pool_shown:
            lines += (f"  {line}" for line in pool_lines(self.kubectl, self._pod(trouble.pod)))
            self._pool_shown = True
        for line in lines:
            self.console.print(f"  {line}", style="dim", markup=False, highlight=False, soft_wrap=True)
        self._shown.add(trouble.text)

    def _node_comes(self, trouble: Trouble) -> bool:
        """Return whether an autoscaler makes room for the pod: that takes minutes, and is no failure."""
        if trouble.kind != "unschedulable":
            return False
        words = ["--namespace", self.kubectl.namespace(SERVING), "get", "events"]
        try:
            events = self.kubectl.objects(*words, f"--field-selector=involvedObject.name={trouble.pod}")
        except DeliveryError:
            return False
        return any(event.get("reason") in SCALING for event in events)

    def _pod(self, name: str) -> dict[str, Any]:
        """Return a pod; one without a spec when it cannot be read."""
        try:
            return self.kubectl.get(self.kubectl.namespace(SERVING), "pod", name) or {}
        except DeliveryError:
            return {}

    def _troubles(self) -> list[Trouble]:
        try:
            return troubles(self.kubectl, self.model, self.release)
        except DeliveryError:
            # An API server that does not answer for a moment is no reason; one that is gone makes the engine fail.
            return []

    def _last_words(self) -> str:
        seen = self._troubles()
        return self._explained(seen[0]) if seen else "does not answer with it"

    def _keep_lines(self, trouble: Trouble) -> None:
        """Keep the lines: the kubelet has the log of one ended container, and of none while it makes the next."""
        if trouble.kind == "crash" and not self._lines.get(trouble.pod):
            self._lines[trouble.pod] = last_lines(self.kubectl, trouble)

    def _explained(self, trouble: Trouble) -> str:
        """Return the reason with what explains it: the container's last lines, or what takes the room."""
        if trouble.kind == "crash":
            self._keep_lines(trouble)
            return "\n".join([trouble.text, *(f"  | {line}" for line in self._lines.get(trouble.pod, []))])
        if trouble.kind == "unschedulable":
            lines = pool_lines(self.kubectl, self._pod(trouble.pod)) or room(self.kubectl, "cpu")
            taken = "\n".join(f"  {line}" for line in lines)
            return f"{trouble.text}\n{taken}" if taken else trouble.text
        return trouble.text


def troubles(kubectl: Kubectl, model: str, release: str) -> list[Trouble]:
    """Return what keeps the newest pods of a release from serving, the most definite first."""
    return _newest(_listed(kubectl, f"{_LABEL}={model}"), release)


def reasons(kubectl: Kubectl, releases: Mapping[str, str]) -> dict[str, str]:
    """Return by model what keeps the newest pods of its release from serving, as far as they say it.

    All of them are listed at once: a call for each model takes longer than many models do.
    """
    items: dict[str, list[dict[str, Any]]] = {}
    for item in _listed(kubectl, _LABEL):
        items.setdefault(item["metadata"].get("labels", {}).get(_LABEL, ""), []).append(item)
    seen = {model: _newest(items.get(model, []), release) for model, release in releases.items()}
    return {model: troubled[0].text for model, troubled in seen.items() if troubled}


def _listed(kubectl: Kubectl, selector: str) -> list[dict[str, Any]]:
    namespace = kubectl.namespace(SERVING)
    return kubectl.objects("--namespace", namespace, "get", "replicasets,pods", "--selector", selector)


def _newest(items: list[dict[str, Any]], release: str) -> list[Trouble]:
    sets = [item for item in items if item["kind"] == "ReplicaSet" and _runs(item["spec"]["template"]["spec"], release)]
    if not sets:
        return []
    newest = max(sets, key=lambda item: int(item["metadata"].get("annotations", {}).get(_REVISION, 0)))
    pods = [item for item in items if item["kind"] == "Pod" and _owned(item, newest) and not pod_state.leaving(item)]
    seen = [*_refused(newest), *(trouble for pod in pods for trouble in _of_pod(pod))]
    return sorted(seen, key=lambda trouble: not trouble.final)


def _runs(spec: dict[str, Any], release: str) -> bool:
    variables = (item for container in spec["containers"] for item in container.get("env", []))
    return any(item["name"] == "RELEASE" and item.get("value") == release for item in variables)


def _owned(pod: dict[str, Any], owner: dict[str, Any]) -> bool:
    return any(item["uid"] == owner["metadata"]["uid"] for item in pod["metadata"].get("ownerReferences", []))


def _refused(replica_set: dict[str, Any]) -> Iterator[Trouble]:
    """Yield why pods may not be made at all: a quota, or an admission rule."""
    name = replica_set["metadata"]["name"]
    for refusal in pod_state.refusals(replica_set):
        yield Trouble("quota", name, "", f"{name}: its pods are refused: {refusal}")


def _of_pod(pod: dict[str, Any]) -> Iterator[Trouble]:
    name = pod["metadata"]["name"]
    for fault in pod_state.faults(pod):
        final = fault.final
        if fault.kind is FaultKind.CRASH:
            # A second and third try are given to a container that ended by itself before that is definite.
            final = fault.down and fault.ends >= (_KILLS if fault.out_of_memory else _CRASHES)
        yield Trouble(fault.kind.value, name, fault.container, _text(pod, fault), final, fault.down)


def _text(pod: dict[str, Any], fault: Fault) -> str:
    name = pod["metadata"]["name"]
    if fault.kind is FaultKind.UNSCHEDULABLE:
        return f"{name}: {unscheduled(pod, fault.message)}"
    if fault.kind is FaultKind.EVICTED:
        return f"{name}: evicted: {fault.message}"
    place = f"{name}, container {fault.container}"
    if fault.kind is FaultKind.IMAGE:
        words = _RUNTIME.sub("", fault.message) or fault.reason
        return f"{place}: image {fault.image}: cannot be pulled: {words}"
    if fault.kind is FaultKind.CONFIG:
        return f"{place}: {fault.reason}: {fault.message}"
    return f"{place}: {fault.out_of_memory or f'ended with exit code {fault.exit_code}'}"


def last_lines(kubectl: Kubectl, trouble: Trouble) -> list[str]:
    """Return the last log lines of the container that ended; none when they are gone."""
    words = ["--namespace", kubectl.namespace(SERVING), "logs", trouble.pod, "-c", trouble.container]
    for more in ([], ["--previous"]) if trouble.down else (["--previous"],):
        try:
            text = kubectl.run(*words, f"--tail={_LINES}", "--request-timeout=10s", *more)
        except DeliveryError:
            continue
        if text.strip() and not text.startswith(_NO_LOG):
            return [_message(line) for line in text.strip().splitlines()]
    return []


def _message(line: str) -> str:
    """Return the message of an ECS line; another line as it is."""
    try:
        return str(json.loads(line)["message"])
    except (ValueError, TypeError, KeyError):
        return line
