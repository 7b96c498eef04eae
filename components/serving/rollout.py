"""Waits until the pods of one revision of a model serve, and says why they do not.

KServe's own condition holds as long as pods of any revision serve, and names no reason.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.kit import pod_state
from components.kit.pod_state import Fault, FaultKind
from components.serving.looks import Items, Kubectl, Looks, NotServingError, UnansweredError, beside

REVISION = "stellwerk.dev/revision"
# On what is not of the revision itself, but set for it.
REPLICAS_OF = "stellwerk.dev/replicas-of"
# Seconds that a reason may stand which does not pass by itself: a registry may answer at the second try, and a pod that
# ends may free what the next one needs.
_PATIENCE = 45
# What only events report: the pod itself waits in silence.
_BEFORE_START = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")


def deployment_name(model: str) -> str:
    """Return what KServe calls the Deployment and the Service of a model."""
    return f"{model}-predictor"


def autoscaler_name(model: str) -> str:
    """Return what the object that scales a model is called: KServe has none of this name."""
    return f"{model}-scale"


@dataclass(frozen=True)
class Scaling:
    """An autoscaler: the number of pods at most, and whether it is KEDA's, which makes one of a name of its own."""

    most: int
    is_kedas: bool = False


@dataclass(frozen=True)
class Revision:
    """One revision of a model: where it runs, how many pods it has, and how long it may take to serve.

    With an autoscaler `replicas` is how many there are at least, while there are any; `was_scaled` where one goes.

    `seconds` count while nothing else gets ready either; `deadline` is a time, in seconds since 1970.
    """

    namespace: str
    model: str
    digest: str
    replicas: int
    seconds: float
    deadline: float = math.inf
    scaling: Scaling | None = None
    was_scaled: bool = False

    def admits(self, number: int) -> bool:
        """Return whether a Deployment of the revision may ask for so many pods."""
        return self.replicas <= number <= (self.replicas if self.scaling is None else self.scaling.most)


@dataclass
class Observation:
    """What is known of a revision: whether it serves, what keeps it from it, what may pass by itself."""

    serves: bool = False
    problems: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


async def remember(revision: Revision, looks: Looks, report: Callable[[str], None]) -> None:
    """Note how many pods an autoscaler has given the model: KServe's change of the revision takes them away.

    The autoscaler's own status says it no longer once that one has looked in between.
    """
    words = ("--ignore-not-found", "--output", "jsonpath={.spec.replicas}")
    number = await beside(_try, looks.run, "get", "deployment", deployment_name(revision.model), *words)
    looks.had[revision.model] = int(number or 0)


async def until_declared(
    revision: Revision, looks: Looks, report: Callable[[str], None], patience: float = _PATIENCE
) -> None:
    """Return once KServe has made the revision's Deployment, or changed it.

    What is set before that KServe takes back: its change sets the number of pods to one.
    Once `patience` seconds are over in which it made none that is waited for, `report` gets that: its controller may be
    busy. Raise NotServingError after `revision.seconds` of it, or at the deadline.
    """
    began, reported = time.monotonic(), False
    while True:
        try:
            items, reason = await looks.at(revision.model), ""
        except UnansweredError as error:
            items, reason = [], f": {error}"
        if any(item["kind"] == "Deployment" and _is_declared(item, revision) for item in items):
            looks.advance()
            await beside(_restore, revision, items, looks)
            if revision.was_scaled and revision.scaling is None:
                await beside(_unscale, revision, looks.run)
            return
        stalled, seconds = looks.stalled(began), time.monotonic() - began
        if stalled > revision.seconds or time.time() > revision.deadline:
            raise NotServingError(
                f"{revision.model}: KServe made no Deployment of this revision in {revision.namespace} "
                f"in {seconds:.0f} s; look at its controller, "
                f"and at `kubectl describe inferenceservice {revision.model}`{reason}"
            )
        if stalled > patience and not reported:
            reported = True
            report(f"{revision.model}: KServe has made no Deployment of this revision after {seconds:.0f} s{reason}")


async def until_served(
    revision: Revision, looks: Looks, report: Callable[[str], None], patience: float = _PATIENCE
) -> None:
    """Return once all pods of the revision serve and none of another is left.

    `report` gets every new reason at once. Raise NotServingError when a reason has stood for `patience` seconds, when
    `revision.seconds` were over in which no model waited for came to serve, or at the deadline.
    """
    began, since, said = time.monotonic(), None, set[str]()
    while True:
        items, seen = await _look(revision, looks)
        now = time.monotonic()
        # The autoscaler may have none, or fewer than before: a revision is proved by pods.
        restored = await beside(_restore, revision, items, looks)
        if seen.serves and not restored:
            looks.advance()
            return
        for reason in (*seen.problems, *seen.waiting):
            if reason not in said:
                said.add(reason)
                report(f"{revision.model} does not serve yet: {reason}")
        since = (since or now) if seen.problems else None
        late = looks.stalled(began) > revision.seconds or time.time() > revision.deadline
        if late or (since is not None and now - since > patience):
            reasons = [*seen.problems, *seen.waiting] or ["its pods are not ready"]
            reasons += await beside(_details, revision, items, looks.run)
            raise NotServingError(_message(revision, reasons, now - began))


def _restore(revision: Revision, items: Sequence[Any], looks: Looks) -> bool:
    """Give a Deployment with an autoscaler as many pods as that one has decided on; return whether it had fewer.

    KServe's change takes them away. The autoscaler itself would bring them within 15 seconds, and from one pod on.
    """
    deployment = next((item for item in items if item["kind"] == "Deployment"), None)
    if revision.scaling is None or deployment is None:
        return False
    # Once, and after KServe's change: from then on the number is the autoscaler's.
    had = looks.had.pop(revision.model, 0) if _is_declared(deployment, revision) else 0
    name = autoscaler_name(revision.model)
    asked: int = deployment["spec"]["replicas"]
    own = f"keda-hpa-{name}" if revision.scaling.is_kedas else name
    decided = _try(looks.run, "get", "hpa", own, "--ignore-not-found", "--output", "jsonpath={.status.desiredReplicas}")
    wanted = min(max(revision.replicas, int(decided or 0), had), revision.scaling.most)
    if asked < wanted:
        _try(looks.run, "scale", "deployment", deployment_name(revision.model), f"--replicas={wanted}")
    return asked < wanted


def _unscale(revision: Revision, run: Kubectl) -> None:
    """End the autoscaler before the number is set: the engine ends it last, and until then it would set its own."""
    for kind in ("scaledobject", "hpa"):
        # The first is no kind where KEDA is not installed.
        _try(run, "delete", kind, autoscaler_name(revision.model), "--ignore-not-found")


async def _look(revision: Revision, looks: Looks) -> tuple[Items, Observation]:
    """Return what there is of the model, and the judgement of it; no answer is a reason that may pass."""
    try:
        items = await looks.at(revision.model)
    except UnansweredError as error:
        return [], Observation(problems=[str(error)])
    return items, observe(items, revision)


def observe(items: Sequence[Any], revision: Revision) -> Observation:
    """Return the judgement of the Deployment, pods and events of a model, as the API shows them."""
    seen = Observation()
    for item in items:
        if item["kind"] == "Deployment":
            seen.serves = _complete(item, revision)
            if not revision.admits(item["spec"]["replicas"]):
                seen.waiting.append(f"its Deployment asks for {item['spec']['replicas']} pods, not {revision.replicas}")
            # Pods that are never made have no state of their own.
            seen.problems += [f"no pod is made: {refusal}" for refusal in pod_state.refusals(item)]
    for pod in _pods(items, revision):
        _judge(pod, seen)
        if pod.get("status", {}).get("phase") == "Pending":
            events = _events(items, pod)
            seen.waiting += [f"{pod['metadata']['name']}: {text}" for reason, text in events if reason in _BEFORE_START]
    return seen


def _events(items: Sequence[Any], pod: Any) -> list[tuple[str, str]]:
    """Return reasons and texts of a pod's warnings, each once."""
    reasons = {
        (item["reason"], f"{item['reason']}: {item.get('message', '')[:500]}")
        for item in items
        if item["kind"] == "Event" and item["involvedObject"].get("name") == pod["metadata"]["name"]
    }
    return sorted(reasons)


def _is_declared(deployment: Any, revision: Revision) -> bool:
    """Return whether KServe has made the Deployment one of this revision."""
    declared: str | None = deployment["spec"]["template"]["metadata"].get("annotations", {}).get(REVISION)
    return declared == revision.digest


def _complete(deployment: Any, revision: Revision) -> bool:
    """Return whether a rollout of this revision is over, as `kubectl rollout status` sees it."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status", {})
    complete: bool = (
        _is_declared(deployment, revision)
        and status.get("observedGeneration", 0) >= metadata["generation"]
        and revision.admits(spec["replicas"])
        and status.get("updatedReplicas", 0) == status.get("replicas", 0) == spec["replicas"]
        and status.get("availableReplicas", 0) == spec["replicas"]
    )
    return complete


def _pods(items: Sequence[Any], revision: Revision) -> list[Any]:
    """Return the pods of this revision that are not on their way out."""
    return [
        item
        for item in items
        if item["kind"] == "Pod"
        and item["metadata"].get("annotations", {}).get(REVISION) == revision.digest
        and not pod_state.leaving(item)
    ]


def _judge(pod: Any, seen: Observation) -> None:
    name = pod["metadata"]["name"]
    for fault in pod_state.faults(pod):
        if fault.kind is FaultKind.UNSCHEDULABLE:
            seen.waiting.append(f"{name} has no node{pod_state.node_wanted(pod)}: {fault.message}")
        elif fault.kind is FaultKind.EVICTED:
            seen.problems.append(f"{name} was evicted: {fault.message}")
        elif not fault.ready:
            seen.problems.append(f"{name}, container {fault.container}: {_reason(fault)}")


def _reason(fault: Fault) -> str:
    """Return why a container does not run."""
    if fault.kind is not FaultKind.CRASH:
        return f"{fault.reason}: {fault.message}"
    return fault.out_of_memory or f"{fault.reason or 'ended'} with exit code {fault.exit_code}"


def _details(revision: Revision, items: Sequence[Any], run: Kubectl) -> list[str]:
    """Return the last lines of containers that ended, and the warnings of the pods; what cannot be read is left out."""
    details: list[str] = []
    for pod in _pods(items, revision)[:1]:
        name = pod["metadata"]["name"]
        for container in pod_state.container_states(pod):
            if container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated"):
                previous = ["--previous"] if container.get("state", {}).get("running") else []
                lines = _try(run, "logs", name, "-c", container["name"], "--tail=5", *previous)
                # A container that was killed at its start has no log; the node's answer is none.
                lines = "" if lines.startswith("unable to retrieve") else lines
                details += [f"log of {container['name']}: {line[:500]}" for line in lines.splitlines()]
        details += [f"event: {text}" for _, text in _events(_warnings(name, run), pod)]
    return details


def _warnings(pod: str, run: Kubectl) -> Items:
    selector = f"involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"
    answer = _try(run, "get", "events", "--field-selector", selector, "--output", "json")
    events: Items = json.loads(answer)["items"] if answer else []
    return events


def _try(run: Kubectl, *arguments: str) -> str:
    try:
        return run(*arguments)
    except NotServingError:
        return ""


def _message(revision: Revision, reasons: list[str], seconds: float) -> str:
    lines = "\n".join(f"  {reason}" for reason in reasons)
    return (
        f"{revision.model} does not serve its new revision in {revision.namespace} after {seconds:.0f} s:\n{lines}\n"
        "Pods of an earlier revision, if any, go on serving. Correct the cause and apply again, or put "
        f"models.{revision.model}.release back to the release before."
    )
