"""What a plan makes pods of: Deployments, sets, Jobs, and KServe's inference services."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from components.kit.names import MODEL_LABEL
from components.serving.looks import SERVICE_LABEL
from components.serving.rollout import deployment_name
from delivery.clients.plan import Plan, Step
from delivery.operations.changes import Action, action_of
from delivery.operations.placing import Owner

Object = Mapping[str, Any]
# Kind, namespace and name of an object in the cluster.
Key = tuple[str, str, str]

_KUBERNETES = "kubernetes:"
# What else decides where pods go.
_DECISIVE = (
    "Namespace",
    "Node",
    "ResourceQuota",
    "LimitRange",
    "PriorityClass",
    "RuntimeClass",
    "PersistentVolumeClaim",
    "ResourceClaimTemplate",
)
_MOVING = (Action.CREATE, Action.REPLACE, Action.RESTART, Action.SCALE)
# What Kubernetes takes where nothing is said.
_SHARE = "25%"


class Turn(StrEnum):
    """How pods of a changed template follow the old ones."""

    ROLLING = "rolling"
    RECREATE = "recreate"
    # A Job of a template: nobody has made it yet.
    TRIAL = "trial"


@dataclass(frozen=True)
class Workload:
    """Pods that a plan declares. `owner` is the resource, `controller` who makes the pods in the cluster.

    `action` is what happens to it, None where nothing does. While old pods are followed by new ones there are `surge`
    pods more than `replicas` at most, and `unavailable` fewer; with `in_order` no pod is made before the last one runs.
    """

    owner: Owner
    controller: Key
    action: Action | None
    replicas: int
    template: Object
    turn: Turn = Turn.ROLLING
    surge: int = 0
    unavailable: int = 0
    in_order: bool = False

    @property
    def moves(self) -> bool:
        """Return whether pods are made or end."""
        return self.action in _MOVING

    @property
    def is_per_node(self) -> bool:
        """Return whether it has a pod on each node."""
        return self.controller[0] == "DaemonSet"

    @property
    def is_placed(self) -> bool:
        """Return whether each pod has a place of its own: an ordinal, or a node."""
        return self.controller[0] in ("DaemonSet", "StatefulSet")


@dataclass(frozen=True)
class Planned:
    """What a plan has in the cluster: its workloads, other objects that decide where pods go, and what it takes away.

    `unreadable` names workloads whose pods are known only when they are made. `moves_pods` says whether pods come, end
    or lose their node.
    """

    workloads: tuple[Workload, ...]
    objects: tuple[Object, ...]
    gone: frozenset[Key]
    unreadable: tuple[str, ...]
    moves_pods: bool


def planned(plan: Plan) -> Planned:
    """Return the workloads and what decides where their pods go, from the steps of a plan."""
    wanted: dict[str, Step] = {}
    gone: dict[str, Step] = {}
    for step in plan.steps:
        if step.type.startswith(_KUBERNETES):
            (gone if step.op.startswith("delete") else wanted)[step.urn] = step
    # Of a replacement the step that makes the new object has its inputs.
    replaced = {step.urn for step in plan.steps if "replace" in step.op}
    numbers = {step.declared: step for step in wanted.values() if _kind(step) == "DeploymentPatch"}
    workloads, objects, unreadable = [], [], []
    for urn, step in wanted.items():
        kind = _kind(step)
        if kind in _DECISIVE and step.declared:
            objects.append({**step.inputs, "kind": kind, "apiVersion": _version(step)})
        elif kind in _READERS and step.inputs:
            action = Action.REPLACE if urn in replaced else _action(step)
            try:
                workloads.append(_workload(step, plan.model(urn), action, numbers))
            except (AttributeError, KeyError, TypeError, ValueError):
                unreadable += [f"{kind} {step.name}"] if action in _MOVING else []
    removed = frozenset(_removed(step) for urn, step in gone.items() if urn not in wanted)
    nodes = any(step.type.endswith(":Node") for step in plan.changes)
    moved = nodes or bool(unreadable) or any(each.moves for each in workloads)
    return Planned(tuple(workloads), tuple(objects), removed, tuple(unreadable), moved)


def _kind(step: Step) -> str:
    return step.type.rpartition(":")[2]


def _version(step: Step) -> str:
    return step.type.split(":")[1].removeprefix("core/")


def _action(step: Step) -> Action | None:
    if not step.changes:
        return None
    # No pod of a template runs: another one is tried like a new one.
    is_template = _kind(step) == "CronJob" and any(path.startswith("spec.jobTemplate") for path in step.paths)
    return Action.RESTART if is_template else action_of(step.type, step.op, step.paths)


def _removed(step: Step) -> Key:
    namespace, _, name = step.id.rpartition("/")
    kind = _kind(step)
    return (*_maker(kind, name)[:1], namespace, _maker(kind, name)[1])


def _maker(kind: str, name: str) -> tuple[str, str]:
    """Return kind and name of who makes the pods of a resource in the cluster."""
    return ("Deployment", deployment_name(name)) if kind == _SERVED else (kind, name)


def _workload(step: Step, model: str | None, action: Action | None, numbers: Mapping[Any, Step]) -> Workload:
    """Return what a step declares; raise one of Python's errors where it is not what the API takes."""
    namespace, name = step.declared or (None, "")
    if namespace is None:
        raise ValueError(step.urn)
    kind, metadata = _kind(step), step.inputs["metadata"]
    model = model or (metadata.get("labels") or {}).get(MODEL_LABEL)
    maker = _maker(kind, name)
    number = numbers.get((namespace, maker[1]))
    shape = _READERS[kind](step.inputs, number.inputs if number else {})
    # It may be a patch alone that changes how many there are.
    if number and action not in _MOVING:
        action = _action(number)
    return Workload(Owner(kind, namespace, name, model), (maker[0], namespace, maker[1]), action, **shape)


def _deployment(inputs: Object, patch: Object) -> dict[str, Any]:
    spec = inputs["spec"]
    replicas = _number((patch.get("spec") or {}).get("replicas"), spec.get("replicas"), 1)
    return {"replicas": replicas, "template": spec["template"], **_strategy(spec.get("strategy") or {}, replicas)}


def _served(inputs: Object, patch: Object) -> dict[str, Any]:
    """Return the pods that KServe makes of an inference service in raw deployment mode.

    What its controller adds asks for nothing: its runtime's container is the model's, with the model's own resources,
    and an initialiser of its own comes only where there is none.
    """
    predictor, metadata = inputs["spec"]["predictor"], inputs["metadata"]
    replicas = _number((patch.get("spec") or {}).get("replicas"), predictor.get("minReplicas"), 1)
    model = predictor.get("model")
    containers = [*predictor.get("containers", []), *([{**model, "name": "kserve-container"}] if model else [])]
    labels = {
        **(metadata.get("labels") or {}),
        "app": f"isvc.{deployment_name(metadata['name'])}",
        "component": "predictor",
        SERVICE_LABEL: metadata["name"],
    }
    about = {"labels": labels, "annotations": predictor.get("annotations") or {}}
    template = {"metadata": about, "spec": {**predictor, "containers": containers}}
    return {
        "replicas": replicas,
        "template": template,
        **_strategy(predictor.get("deploymentStrategy") or {}, replicas),
    }


def _stateful_set(inputs: Object, _: Object) -> dict[str, Any]:
    spec = inputs["spec"]
    template = {
        **spec["template"],
        "claims": [each["metadata"]["name"] for each in spec.get("volumeClaimTemplates", [])],
    }
    in_order = spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    return {
        "replicas": _number(spec.get("replicas"), 1), "template": template, "unavailable": 1, "in_order": in_order,
    }  # fmt: skip


def _daemon_set(inputs: Object, _: Object) -> dict[str, Any]:
    return {"replicas": 0, "template": inputs["spec"]["template"], "unavailable": 1}


def _job(inputs: Object, _: Object) -> dict[str, Any]:
    spec = inputs["spec"]
    return {"replicas": _number(spec.get("parallelism"), 1), "template": spec["template"], "turn": Turn.RECREATE}


def _cron_job(inputs: Object, _: Object) -> dict[str, Any]:
    return {**_job(inputs["spec"]["jobTemplate"], {}), "turn": Turn.TRIAL}


_SERVED = "InferenceService"
_READERS: Mapping[str, Callable[[Object, Object], dict[str, Any]]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    _SERVED: _served,
}


def _strategy(strategy: Object, replicas: int) -> dict[str, Any]:
    if strategy.get("type") == "Recreate":
        return {"turn": Turn.RECREATE}
    rolling = strategy.get("rollingUpdate") or {}
    surge = _part(rolling.get("maxSurge", _SHARE), replicas, math.ceil)
    unavailable = _part(rolling.get("maxUnavailable", _SHARE), replicas, math.floor)
    return {"surge": surge, "unavailable": unavailable or (0 if surge else 1)}


def _part(value: int | str, replicas: int, rounded: Callable[[float], int]) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return rounded(replicas * int(value[:-1]) / 100)
    return int(value)


def _number(*values: Any) -> int:
    """Return the first number; one that only the update will know is none."""
    return int(next(value for value in values if isinstance(value, int | float)))
