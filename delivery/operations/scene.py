"""What the pods of a plan meet: the nodes, the pods that run there, the limits; and how they follow one another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.kit.names import MODEL_LABEL, POOL_LABEL
from components.kit.pod_state import pool_of
from delivery.operations import pool_nodes
from delivery.operations.changes import Action
from delivery.operations.placing import Owner, Placing, Pod
from delivery.operations.requests import takes
from delivery.operations.rollouts import Rollout, keeps
from delivery.operations.transcription import is_bound, pod
from delivery.operations.workloads import Key, Planned, Turn, Workload
from infra.contract.environment import Environment

Object = Mapping[str, Any]

_LIMITS = ("LimitRange", "ResourceQuota")
_HASH = "pod-template-hash"
_ENDED = ("Succeeded", "Failed")
_SETS = ("ReplicaSet", "StatefulSet")
# Of these sets only those that have pods are; pods come one by one.
_NOT_DECLARED = (*_LIMITS, "Pod", "ReplicaSet")


@dataclass(frozen=True)
class Scene:
    """Objects, and pods by their controller; `works` are the workloads that are looked at."""

    objects: tuple[Object, ...]
    pods: Mapping[Key, Sequence[Pod]]
    works: tuple[Workload, ...]
    gone: frozenset[Key] = frozenset()
    provisioned: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Without a cluster: what runs is taken to be what is planned.
    assumed: bool = False

    @property
    def nodes_gone(self) -> list[str]:
        """Return the names of the nodes that the update removes."""
        return sorted(name for kind, _, name in self.gone if kind == "Node")

    def is_removed(self, each: Pod) -> bool:
        """Return whether the update removes the controller of a pod."""
        return any(each in self.pods.get(key, ()) for key in self.gone)

    def set_up(self, placing: Placing) -> list[Rollout]:
        """Put the scene on a control plane, as it is before the update; return what then happens to each workload."""
        existing = [each for pods in self.pods.values() for each in pods]
        placing.declare(self._declared())
        placing.bind([each for each in existing if each.body["spec"].get("nodeName")])
        placing.limit(each for each in self.objects if each["kind"] in _LIMITS)
        placing.place([each for each in existing if not each.body["spec"].get("nodeName")])
        for each in existing:
            each.body["spec"].pop("nodeName", None)
        return [self._rollout(placing, work) for work in self.works]

    def _declared(self) -> list[Object]:
        named = {each["metadata"]["name"] for each in self.objects if each["kind"] == "Namespace"}
        needed = {work.owner.namespace for work in self.works} | {key[1] for key in self.pods}
        missing: list[Object] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(needed - named)
        ]
        alive = {each.body["metadata"]["ownerReferences"][0]["name"] for each in self._owned()}
        # Without labels there is nothing to spread by.
        labelled = [
            each for each in self.objects if each["kind"] not in _SETS or each["spec"]["selector"].get("matchLabels")
        ]
        sets = [each for each in labelled if each["kind"] == "ReplicaSet" and each["metadata"]["name"] in alive]
        rest = [each for each in labelled if each["kind"] not in (*_NOT_DECLARED, "Namespace")]
        names = [each for each in self.objects if each["kind"] == "Namespace"]
        return [*names, *missing, *rest, *sets]

    def _set(self, placing: Placing, work: Workload, existing: Sequence[Pod]) -> dict[str, Any]:
        """Return labels and owner of the pods of a Deployment's set, one that there is, or one of its own."""
        if work.controller[0] != "Deployment":
            return {}
        if keeps(work) and existing:
            return {**existing[0].body["metadata"]}
        made = _set(work)
        placing.declare([made])
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": made["metadata"]["name"], "uid": "planned"}
        return {"labels": made["spec"]["selector"]["matchLabels"], "ownerReferences": [{**owner, "controller": True}]}

    def _owned(self) -> list[Pod]:
        return [each for pods in self.pods.values() for each in pods if each.body["metadata"].get("ownerReferences")]

    def _rollout(self, placing: Placing, work: Workload) -> Rollout:
        spec = work.template["spec"]
        daemon_nodes = (name for name, node in placing.nodes.items() if takes(node, spec, daemon=True))
        places = list(daemon_nodes) if work.is_per_node else []
        rollout = Rollout(work, places, self.provisioned.get(work.owner.namespace, frozenset()))
        existing = list(self.pods.get(work.controller, ()))
        if self.assumed and work.action is not Action.CREATE and work.turn is not Turn.TRIAL:
            existing = rollout.all_new()
            placing.place(existing)
        rollout.made_by = self._set(placing, work, existing)
        if not keeps(work):
            rollout.old = existing
            return rollout
        # Of fewer pods the newest go.
        surplus = existing[work.replicas :] if work.action is Action.SCALE else []
        placing.remove(surplus)
        rollout.new = [each for each in existing if each not in surplus]
        return rollout


def _set(work: Workload) -> Object:
    """Return as much of the set that a Deployment's controller makes for a template as says which pods are its own."""
    labels = {**((work.template.get("metadata") or {}).get("labels") or {}), _HASH: "planned"}
    metadata = {"name": f"{work.controller[2]}-planned", "namespace": work.owner.namespace}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": labels}},
    }


def of_cluster(wanted: Planned, items: Iterable[Object]) -> Scene:
    """Return the scene of a cluster that has these objects."""
    known = {_key(item): item for item in items}
    claims = [item for key, item in known.items() if key[0] == "PersistentVolumeClaim"]
    # A claim without its volume gets one wherever its first pod goes.
    open_ones = [item for item in (*claims, *_of(wanted, "PersistentVolumeClaim")) if not is_bound(item)]
    bound = {_key(item) for item in claims if is_bound(item)}
    provisioned: dict[str, set[str]] = {}
    for item in open_ones:
        if _key(item) not in bound:
            provisioned.setdefault(item["metadata"]["namespace"], set()).add(item["metadata"]["name"])
    for work in wanted.workloads:
        names = (f"{claim}-{work.owner.name}-{each}" for claim in work.template.get("claims", [])
                 for each in range(work.replicas))  # fmt: skip
        new = {name for name in names if ("PersistentVolumeClaim", work.owner.namespace, name) not in bound}
        provisioned.setdefault(work.owner.namespace, set()).update(new)
    planned = {_key(item): item for item in wanted.objects if item["kind"] != "PersistentVolumeClaim"}
    # A node that is there has what it has, whatever is planned for it.
    merged = {**known, **{key: item for key, item in planned.items() if key[0] != "Node" or key not in known}}
    objects = [
        item for key, item in merged.items()
        if key not in wanted.gone or key[0] == "Node"
        if key[0] != "PersistentVolumeClaim" or key in bound
    ]  # fmt: skip
    frozen = {namespace: frozenset(names) for namespace, names in provisioned.items()}
    return Scene(tuple(objects), _pods(wanted, known, frozen), wanted.workloads, wanted.gone, frozen)


def of_values(wanted: Planned, environment: Environment) -> Scene:
    """Return the scene that the values alone describe: their node pools, and the workloads that ask for one."""
    nodes = [item for item in wanted.objects if item["kind"] == "Node"]
    planned = {_pool(node) for node in nodes}
    nodes += pool_nodes.of_values(environment, planned)
    names = {_pool(node) for node in nodes}
    works = tuple(
        work for work in wanted.workloads
        if pool_of(work.template) in names - {None}
    )  # fmt: skip
    return Scene(tuple(nodes), {}, works, assumed=True)


def _pool(node: Object) -> str | None:
    return (node["metadata"].get("labels") or {}).get(POOL_LABEL)


def _of(wanted: Planned, kind: str) -> list[Object]:
    return [item for item in wanted.objects if item["kind"] == kind]


def _key(item: Object) -> Key:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _pods(
    wanted: Planned, known: Mapping[Key, Object], provisioned: Mapping[str, frozenset[str]]
) -> dict[Key, list[Pod]]:
    """Return the pods that run or wait, by who makes them, the oldest first."""
    owners = {work.controller: work.owner for work in wanted.workloads}
    made: dict[Key, list[Pod]] = {}
    items = [item for key, item in known.items() if key[0] == "Pod" and not _is_over(item)]
    for item in sorted(items, key=lambda each: str(each["metadata"].get("creationTimestamp", ""))):
        key, metadata = _controller(item, known), item["metadata"]
        owner = owners.get(key) or Owner(*key, (metadata.get("labels") or {}).get(MODEL_LABEL))
        body = pod(metadata, item["spec"], provisioned.get(key[1], ()))
        references = [each for each in metadata.get("ownerReferences", []) if each.get("controller")]
        if references:
            body["metadata"]["ownerReferences"] = references
        slot = metadata["name"].rpartition("-")[2] if key[0] == "StatefulSet" else item["spec"].get("nodeName")
        made.setdefault(key, []).append(Pod(owner, body, slot))
    for item in (item for key, item in known.items() if key[0] in _SETS):
        key = _controller(item, known)
        owner = owners.get(key) or Owner(*key)
        made.setdefault(key, []).extend(_absent(item, owner, made.get(key, []), provisioned.get(key[1], ())))
    return {key: pods for key, pods in made.items() if pods}


def _absent(item: Object, owner: Owner, made: Sequence[Pod], provisioned: Iterable[str]) -> Iterator[Pod]:
    """Yield the pods that a set lacks, whatever has kept it from making them: a quota, say."""
    name, spec, template = item["metadata"]["name"], item["spec"], item["spec"].get("template", {})
    reference = {"apiVersion": item["apiVersion"], "kind": item["kind"], "name": name, "uid": name, "controller": True}
    own = [each for each in made if _made_by(each, name)]
    taken = {each.slot for each in own}
    places = [str(index) for index in range(spec.get("replicas", 0)) if str(index) not in taken]
    for place in places[: max(0, spec.get("replicas", 0) - len(own))] if template else []:
        body = pod(template.get("metadata") or {}, template["spec"], provisioned)
        body["metadata"]["ownerReferences"] = [reference]
        yield Pod(owner, body, place if item["kind"] == "StatefulSet" else None)


def _made_by(each: Pod, name: str) -> bool:
    return any(reference["name"] == name for reference in each.body["metadata"].get("ownerReferences", []))


def _is_over(item: Object) -> bool:
    return item.get("status", {}).get("phase") in _ENDED or "deletionTimestamp" in item["metadata"]


def _controller(item: Object, known: Mapping[Key, Object]) -> Key:
    """Return who makes the pods of which this is one: of a set that belongs to a Deployment, that."""
    key = _key(item)
    while True:
        metadata = known[key]["metadata"] if key in known else {}
        owner = next((each for each in metadata.get("ownerReferences", []) if each.get("controller")), None)
        if owner is None or key[0] == "Deployment":
            return key
        key = (owner["kind"], key[1], owner["name"])
