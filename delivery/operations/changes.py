"""What a plan means for the cluster: what is made, changed, scaled, restarted, replaced or deleted, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from delivery.clients.plan import Plan, Step


class Action(StrEnum):
    """What happens to an object, what users may notice most first."""

    DELETE = "delete"
    REPLACE = "replace"
    RESTART = "restart"
    SCALE = "scale"
    UPDATE = "update"
    CREATE = "create"


@dataclass(frozen=True)
class Change:
    """A change of one object: its kind, its namespace and name in the cluster as far as they are known, its model.

    `because` are the paths of the properties that change; of a replacement, those that cannot change in place.
    """

    action: Action
    kind: str
    name: str
    namespace: str | None
    model: str | None
    because: tuple[str, ...]

    @property
    def loses_data(self) -> bool:
        """Return whether what is stored in the object goes with it, and does not come again."""
        return self.kind in _STORES and self.action in (Action.DELETE, Action.REPLACE)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" in {self.namespace}" if self.namespace else "")


_STORES = ("Namespace", "PersistentVolume", "PersistentVolumeClaim")
# By group and kind of the API, the properties of which pods are made: another value of one of these, and pods restart.
_TEMPLATES = {
    "apps:Deployment": ("spec.template",),
    "apps:StatefulSet": ("spec.template",),
    "apps:DaemonSet": ("spec.template",),
    # KServe hands labels and annotations on to the pods.
    "serving.kserve.io:InferenceService": ("spec", "metadata.labels", "metadata.annotations"),
}
# And those that say how many pods there are: they are no part of any pod.
_NUMBERS = {
    "apps:Deployment": ("spec.replicas",),
    "apps:StatefulSet": ("spec.replicas",),
    "serving.kserve.io:InferenceService": ("spec.predictor.minReplicas", "spec.predictor.maxReplicas"),
}
_KUBERNETES = "kubernetes:"


def changes(plan: Plan) -> list[Change]:
    """Return the changes of a plan, one an object, what users may notice most first."""
    steps: dict[str, list[Step]] = {}
    for step in plan.changes:
        if not step.is_component:
            steps.setdefault(step.urn, []).append(step)
    order = list(Action)
    made = (_change(plan, own) for own in steps.values())
    return sorted(made, key=lambda each: (order.index(each.action), each.kind, each.namespace or "", each.name))


def _change(plan: Plan, steps: list[Step]) -> Change:
    """Return what the steps of one object are together: a replacement is a creation and a deletion, too."""
    step = next((each for each in steps if each.op == "replace"), steps[0])
    action = action_of(step.type, step.op, step.paths)
    namespace, name = _place(step)
    kind = step.type.rpartition(":")[2].removesuffix("Patch")
    return Change(action, kind, name, namespace, plan.model(step.urn), step.paths)


def action_of(kind: str, op: str, paths: Sequence[str]) -> Action:
    """Return what an operation of the engine on a resource of this type does, given the properties that change."""
    if "replace" in op:
        return Action.REPLACE
    if op != "update":
        return Action.DELETE if op.startswith("delete") else Action.CREATE
    numbers, template = _below(_NUMBERS, kind), _below(_TEMPLATES, kind)
    scaled = [path for path in paths if _covers(numbers, path)]
    if any(_covers(template, path) for path in paths if path not in scaled):
        return Action.RESTART
    return Action.SCALE if scaled and len(scaled) == len(paths) else Action.UPDATE


def _below(known: Mapping[str, tuple[str, ...]], kind: str) -> tuple[str, ...]:
    """Return the properties known of a type such as `kubernetes:apps/v1:Deployment`, or of a patch of one."""
    version, _, name = kind.removeprefix(_KUBERNETES).partition(":")
    group = version.partition("/")[0]
    return known.get(f"{group}:{name.removesuffix('Patch')}", ())


def _covers(properties: Iterable[str], path: str) -> bool:
    return any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in properties)


def _place(step: Step) -> tuple[str | None, str]:
    """Return namespace and name of an object; what is no object of the cluster has the name of the program."""
    if step.declared is not None:
        namespace, name = step.declared
        return namespace or None, name
    if step.id and step.type.startswith(_KUBERNETES):
        namespace, _, name = step.id.rpartition("/")
        return namespace or None, name
    return None, step.name
