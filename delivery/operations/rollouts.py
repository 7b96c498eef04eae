"""How pods of a changed workload follow the old ones, as its controller does it, on a control plane without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from delivery.operations.changes import Action
from delivery.operations.placing import Placing, Pod
from delivery.operations.transcription import pod
from delivery.operations.workloads import Turn, Workload

# How the scheduler says that a pod of each node does not belong on this one.
_ELSEWHERE = ("untolerated taint", "didn't match Pod's node affinity/selector")
# What the controller of a DaemonSet adds.
_PRESSED = ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
_DAEMON_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": "NoSchedule"} for name in _PRESSED
] + [
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": "NoExecute"}
    for name in ("not-ready", "unreachable")
]
_SAME = (None, Action.SCALE, Action.UPDATE)


@dataclass
class Rollout:
    """The pods of one workload: those that go, and those that come or stay."""

    workload: Workload
    places: list[str]
    provisioned: frozenset[str] = frozenset()
    old: list[Pod] = field(default_factory=list)
    new: list[Pod] = field(default_factory=list)
    # Labels and owner of the set that makes the pods of a Deployment.
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wanted(self) -> int:
        """Return how many pods there are to be in the end: of what does not change, as many as there are."""
        if not self.workload.moves and not self.workload.is_per_node:
            return len(self.new)
        return len(self.places) if self.workload.is_per_node else self.workload.replicas

    @property
    def placed(self) -> int:
        """Return how many of these have a node."""
        return sum(each.node is not None for each in self.new)

    def comes(self) -> list[Pod]:
        """Return the pods that the controller makes now."""
        work, alive = self.workload, [*self.old, *self.new]
        if work.in_order and any(each.node is None for each in alive):
            return []
        if work.is_placed:
            taken = {each.slot for each in alive}
            free = [place for place in self._slots() if place not in taken]
            made = [self._pod(place) for place in (free[:1] if work.in_order else free)]
        else:
            number = 0 if not work.moves else min(self.wanted - len(self.new), self.wanted + work.surge - len(alive))
            made = [self._pod(None) for _ in range(number)]
        self.new += made
        return made

    def all_new(self) -> list[Pod]:
        """Return pods of the template, as many as there are to be."""
        work = self.workload
        return [self._pod(place) for place in (self._slots() if work.is_placed else [None] * work.replicas)]

    def goes(self) -> list[Pod]:
        """Return the old pods that the controller takes away now: those that wait, and as many as may be absent."""
        running = [each for each in self.old if each.node is not None]
        spare = len(running) + self.placed - (self.wanted - self.workload.unavailable)
        # The newest first, the last ordinal first.
        chosen = [each for each in self.old if each.node is None] + running[::-1][: max(0, spare)]
        self.old = [each for each in self.old if each not in chosen]
        return chosen

    def leave(self) -> list[Pod]:
        """Return all old pods, where they end before a new one is made."""
        chosen, self.old = self.old, []
        return chosen

    def strays(self) -> list[Pod]:
        """Return the pods of nodes on which there is to be none, without their places."""
        if not self.workload.is_per_node:
            return []
        chosen = [each for each in self.new if each.node is None and any(mark in each.why for mark in _ELSEWHERE)]
        self.places = [place for place in self.places if place not in {each.slot for each in chosen}]
        self.new = [each for each in self.new if each not in chosen]
        return chosen

    def _slots(self) -> list[str]:
        return self.places if self.workload.is_per_node else [str(each) for each in range(self.workload.replicas)]

    def _pod(self, slot: str | None) -> Pod:
        template, work = self.workload.template, self.workload
        claims = [f"{claim}-{work.owner.name}-{slot}" for claim in template.get("claims", [])]
        volumes = [{"persistentVolumeClaim": {"claimName": claim}} for claim in claims]
        spec = {**template["spec"], "volumes": [*(template["spec"].get("volumes") or []), *volumes]}
        body = pod(template.get("metadata") or {}, spec, self.provisioned)
        body["metadata"] |= self.made_by
        if work.is_per_node and slot is not None:
            body["spec"]["affinity"] = _pinned(body["spec"].get("affinity") or {}, slot)
            body["spec"]["tolerations"] = [*(body["spec"].get("tolerations") or []), *_DAEMON_TOLERATIONS]
        return Pod(work.owner, body, slot)


def roll(placing: Placing, rollouts: Sequence[Rollout]) -> None:
    """Let pods come and go, of all workloads side by side, until nothing moves any more."""
    placing.remove([each for rollout in rollouts if _ends_first(rollout.workload) for each in rollout.leave()])
    retry = True
    while True:
        before = {id(each) for each in placing.pods if each.node}
        coming = [each for rollout in rollouts for each in rollout.comes()]
        if coming or retry:
            placing.place(coming)
        placing.remove([each for rollout in rollouts for each in rollout.strays()])
        going = [each for rollout in rollouts for each in rollout.goes()]
        placing.remove(going)
        retry = bool(going)
        if not going and all(id(each) in before for each in placing.pods if each.node):
            return


def _ends_first(work: Workload) -> bool:
    return work.action not in _SAME and (work.turn is Turn.RECREATE or work.action is Action.REPLACE)


def keeps(work: Workload) -> bool:
    """Return whether the pods that there are stay: nothing of their template changes."""
    return work.action in _SAME


def _pinned(affinity: dict[str, Any], node: str) -> dict[str, Any]:
    """Return an affinity that holds on one node alone, as the controller of a DaemonSet writes it."""
    field_of = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = [{**term, "matchFields": [field_of]} for term in required.get("nodeSelectorTerms") or [{}]]
    chosen = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {**affinity, "nodeAffinity": {**(affinity.get("nodeAffinity") or {}), **chosen}}
