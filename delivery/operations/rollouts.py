"""How pods of a changed workload follow the old ones, as its controller does it, on a control plane without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from delivery.operations.changes import Action
from delivery.operations.placing import Placing, Pod
from delivery.operations.requests import DAEMON_TOLERATIONS
from delivery.operations.transcription import pod
from delivery.operations.workloads import Turn, Workload

State = tuple[list[tuple[Pod, str | None]], list[Pod]]
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

    def state(self) -> State:
        """Return the pods as they are now, with their nodes."""
        return [(each, each.node) for each in self.old], list(self.new)

    def restore(self, placing: Placing, state: State) -> None:
        """Let the pods be as they were: what has come goes, and what has gone is where it was."""
        old, new = state
        placing.remove([each for each in self.new if each not in new])
        placing.put_back([(each, node) for each, node in old if each not in self.old])
        self.old, self.new = [each for each, _ in old], new

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
            body["spec"]["tolerations"] = [*(body["spec"].get("tolerations") or []), *DAEMON_TOLERATIONS]
        return Pod(work.owner, body, slot)


def roll(placing: Placing, rollouts: Sequence[Rollout]) -> None:
    """Let pods come and go, of one workload after the other, until nothing moves any more.

    As many as find room side by side are taken together: alone, each of them would find it, too.
    """
    left, size = list(rollouts), len(rollouts)
    while left:
        done = 0
        if _ends_first(left[0].workload):
            placing.remove(left[0].leave())
        else:
            group = list(takewhile(lambda each: not _ends_first(each.workload), left[:size]))
            done = _roll_together(placing, group)
        if done == 0:
            _roll(placing, left[0])
        size = 2 * max(1, done)
        left = left[max(1, done) :]
    # What the last ones have freed is for those before them.
    while any(each.node is None for each in placing.pods):
        before = _nodes(placing)
        placing.place([])
        for rollout in rollouts:
            _roll(placing, rollout)
        if _nodes(placing) == before:
            return


def _roll_together(placing: Placing, rollouts: Sequence[Rollout]) -> int:
    """Return how many of the first ones find room side by side, and are done; the others are as they were."""
    members = list(rollouts)
    before = {id(rollout): rollout.state() for rollout in members}
    while members:
        coming = [rollout.comes() for rollout in members]
        placing.place([each for pods in coming for each in pods])
        short = (index for index, pods in enumerate(coming) if any(each.node is None for each in pods))
        first = next(short, len(members))
        for rollout in members[first:]:
            rollout.restore(placing, before[id(rollout)])
        members = members[:first]
        going = [each for rollout in members for each in rollout.goes()]
        placing.remove(going)
        if not going and not any(coming[:first]):
            break
    return len(members)


def _roll(placing: Placing, rollout: Rollout) -> None:
    while True:
        coming = rollout.comes()
        placing.place(coming)
        going = rollout.goes()
        placing.remove(going)
        if not going and all(each.node is None for each in coming):
            return


def _nodes(placing: Placing) -> list[tuple[int, str | None]]:
    return [(id(each), each.node) for each in placing.pods if each.node is not None]


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
