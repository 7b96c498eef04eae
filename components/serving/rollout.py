"""Waits until the pods of one revision of a model serve, and says why they do not.

KServe's own condition holds as long as pods of any revision serve, and names no reason.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from components.kit import pod_state
from components.kit.pod_state import Fault, FaultKind

Value = TypeVar("Value")

REVISION = "stellwerk.dev/revision"
# On what is not of the revision itself, but set for it.
REPLICAS_OF = "stellwerk.dev/replicas-of"
# KServe's label of the pods and what they belong to.
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
# What only events report: the pod itself waits in silence.
_BEFORE_START = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")


def deployment_name(model: str) -> str:
    """Return what KServe calls the Deployment and the Service of a model."""
    return f"{model}-predictor"


@dataclass(frozen=True)
class Revision:
    """One revision of a model: where it runs, and how many pods it has."""

    namespace: str
    model: str
    digest: str
    replicas: int
    seconds: float


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks, and how long a reason that does not pass by itself may stand.

    A registry may answer at the second try, and a pod that ends may free what the next one needs.
    """

    poll: float = 2
    patience: float = 45


@dataclass
class Observation:
    """What is known of a revision: whether it serves, what keeps it from it, what may pass by itself."""

    serves: bool = False
    problems: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


class NotServingError(RuntimeError):
    """The revision does not serve; the text is the whole message."""


Kubectl = Callable[..., str]
# Threads of its own: in the loop's the SDK waits until the engine has made a resource, and the engine for what is asked
# here. With more models than threads nothing would go on.
_THREADS = ThreadPoolExecutor(16, thread_name_prefix="rollout")


async def _beside(ask: Callable[..., Value], *arguments: Any) -> Value:
    """Return what a blocking function returns, while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, ask, *arguments)


def kubectl(context: str, namespace: str) -> Kubectl:
    """Return a function that runs kubectl in a namespace; raises NotServingError with its error output."""

    def run(*arguments: str) -> str:
        words = ["kubectl", "--context", context, "--namespace", namespace, "--request-timeout=20s", *arguments]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            raise NotServingError("kubectl is not on PATH, so it is not known whether the pods serve") from None
        if done.returncode != 0:
            raise NotServingError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    return run


async def until_declared(revision: Revision, run: Kubectl, seconds: float = 60) -> None:
    """Return once KServe has made the revision's Deployment, or changed it; raises NotServingError when it does not.

    What is set before that KServe takes back: its change sets the number of pods to one.
    """
    end = time.monotonic() + seconds
    annotation = REVISION.replace(".", r"\.")
    declared = f"jsonpath={{.spec.template.metadata.annotations.{annotation}}}"
    words = ("get", "deployment", deployment_name(revision.model), "-o", declared, "--ignore-not-found")
    while await _beside(run, *words) != revision.digest:
        if time.monotonic() > end:
            raise NotServingError(
                f"{revision.model}: KServe made no Deployment of this revision in {revision.namespace} "
                f"in {seconds:.0f} s; look at its controller, "
                f"and at `kubectl describe inferenceservice {revision.model}`"
            )
        await asyncio.sleep(0.5)


async def until_served(revision: Revision, run: Kubectl, report: Callable[[str], None], pace: Pace = Pace()) -> None:
    """Return once all pods of the revision serve and none of another is left.

    `report` gets every new reason at once. Raises NotServingError when a reason has stood for `pace.patience` seconds,
    or after `revision.seconds`.
    """
    begin, since, said = time.monotonic(), None, set[str]()
    while True:
        now = time.monotonic()
        items = await _beside(_look, revision, run)
        seen = observe(items, revision)
        if seen.serves:
            return
        for reason in (*seen.problems, *seen.waiting):
            if reason not in said:
                said.add(reason)
                report(f"{revision.model} does not serve yet: {reason}")
        since = (since or now) if seen.problems else None
        if now - begin > revision.seconds or (since is not None and now - since > pace.patience):
            reasons = [*seen.problems, *seen.waiting] or ["its pods are not ready"]
            reasons += await _beside(_details, revision, items, run)
            raise NotServingError(_message(revision, reasons, now - begin))
        await asyncio.sleep(pace.poll)


def _look(revision: Revision, run: Kubectl) -> list[Any]:
    """Return the Deployment and the pods of the model; while they do not serve, the warnings of pods as well."""
    pods = run("get", "deployments,pods", "-l", f"{SERVICE_LABEL}={revision.model}", "-o", "json")
    items: list[Any] = json.loads(pods)["items"]
    if observe(items, revision).serves:
        return items
    events = run("get", "events", "--field-selector", "involvedObject.kind=Pod,type=Warning", "-o", "json")
    return [*items, *json.loads(events)["items"]]


def observe(items: Sequence[Any], revision: Revision) -> Observation:
    """Return the judgement of the Deployment, pods and events of a model, as the API shows them."""
    seen = Observation()
    for item in items:
        if item["kind"] == "Deployment":
            seen.serves = _complete(item, revision)
            if item["spec"]["replicas"] != revision.replicas:
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


def _complete(deployment: Any, revision: Revision) -> bool:
    """Return whether a rollout of this revision is over, as `kubectl rollout status` sees it."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status", {})
    complete: bool = (
        spec["template"]["metadata"].get("annotations", {}).get(REVISION) == revision.digest
        and status.get("observedGeneration", 0) >= metadata["generation"]
        and spec["replicas"] == revision.replicas
        and status.get("updatedReplicas", 0) == status.get("replicas", 0) == revision.replicas
        and status.get("availableReplicas", 0) == revision.replicas
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
            seen.waiting.append(f"{name} has no node: {fault.message}")
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
        details += [f"event: {text}" for _, text in _events(items, pod)]
    return details


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
