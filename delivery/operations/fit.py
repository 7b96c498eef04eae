"""Whether what a plan applies fits: the real scheduler places its pods among those that run, and none is started."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from delivery.clients.plan import Plan
from delivery.errors import DeliveryError
from delivery.operations import device_claims, pool_nodes
from delivery.operations.placing import Owner, Placing, Pod
from delivery.operations.rollouts import Rollout, roll
from delivery.operations.scene import Scene, of_cluster, of_values
from delivery.operations.shortage import why
from delivery.operations.transcription import KINDS
from delivery.operations.workloads import Planned, Turn, planned
from delivery.project import Project
from delivery.session import Session
from infra.contract.environment import Environment
from infra.services.node_pools import pools

_LATER = "it fits only without what this update takes away at its end"


@dataclass(frozen=True)
class Placement:
    """How many of a workload's pods the scheduler places, and why not the others."""

    kind: str
    namespace: str
    name: str
    model: str | None
    pods: int
    placed: int
    why: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Return whether all of its pods are placed."""
        return self.placed == self.pods and not self.why

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in {self.namespace}"


@dataclass(frozen=True)
class Fit:
    """The placements of what changes, and of whatever else is left without a node.

    `unseen` says what was not looked at, and why.
    """

    placements: tuple[Placement, ...]
    unseen: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Return whether nothing is left without a node, as far as that was looked at."""
        return all(each.fits for each in self.placements)


def fit(session: Session, project: Project, environment: str, plan: Plan) -> Fit | None:
    """Return what of a plan the scheduler places; None where no pod comes, ends or loses its node.

    Without a cluster that answers the values of the node pools are all that is known.
    """
    wanted = planned(plan)
    if not wanted.moves_pods:
        return None
    unseen = [f"{each}: known only when it is made" for each in wanted.unreadable]
    values = project.environment(environment)
    try:
        items = session.kubectl(environment).objects("get", ",".join(_kinds(values)), "--all-namespaces")
        wanted, items = device_claims.counted(wanted, items)
        scene = of_cluster(wanted, pool_nodes.of_cluster(items, values))
    except DeliveryError as error:
        wanted, _ = device_claims.counted(wanted, [])
        scene = of_values(wanted, values)
        unseen.append(f"{error}; the node pools of the values are all that is known")
        if not scene.works:
            return Fit((), tuple(unseen))
    try:
        with session.control_plane() as plane:
            return Fit(tuple(_placements(Placing(plane), scene, wanted)), tuple(unseen))
    except DeliveryError as error:
        return Fit((), (*unseen, str(error)))


def _kinds(values: Environment) -> tuple[str, ...]:
    """Return what is asked of the cluster: claims of devices where a pool has any, since not every cluster does."""
    claims = (device_claims.TEMPLATES,) if any(pool.device_class for pool in pools(values)) else ()
    return (*KINDS, *claims)


def _placements(placing: Placing, scene: Scene, wanted: Planned) -> Iterator[Placement]:
    rollouts = scene.set_up(placing)
    at_first = {id(each) for each in placing.pods if each.node is not None}
    moving = [each for each in rollouts if each.workload.turn is not Turn.TRIAL]
    roll(placing, moving)
    made = [_of_rollout(placing, each) for each in moving]
    if _ends(placing, scene):
        roll(placing, moving)
        later = [_of_rollout(placing, each) for each in moving]
        made = [_better(before, after) for before, after in zip(made, later, strict=True)]
    yield from (each for each, rollout in zip(made, moving, strict=True) if rollout.workload.moves or not each.fits)
    ours = {id(pod) for rollout in moving for pod in rollout.new}
    left = [each for each in placing.pods if each.node is None and id(each) not in ours]
    known = {work.owner for work in scene.works}
    yield from _of_others(placing, [each for each in left if id(each) in at_first or each.owner in known])
    for trial in (each for each in rollouts if each.workload.turn is Turn.TRIAL):
        placing.place(trial.comes())
        placement = _of_rollout(placing, trial)
        placing.remove(trial.new)
        if trial.workload.moves or not placement.fits:
            yield placement


def _ends(placing: Placing, scene: Scene) -> bool:
    """Take away what the update removes at its end: pods, and nodes, whose pods come again elsewhere."""
    ended = [each for each in placing.pods if scene.is_removed(each)]
    placing.remove(ended)
    lost = [pod for name in scene.nodes_gone if name in placing.nodes for pod in placing.remove_node(name)]
    placing.place([each for each in lost if each.owner.kind not in ("Pod", "DaemonSet")])
    return bool(ended or lost)


def _better(before: Placement, after: Placement) -> Placement:
    """Return the verdict of before, which the update waits for, with the note that it would fit in the end."""
    if before.fits or not after.fits:
        return after if before.fits else before
    return Placement(**{**vars(before), "why": (*before.why, _LATER)})


def _of_rollout(placing: Placing, rollout: Rollout) -> Placement:
    waiting = [each for each in rollout.new if each.node is None]
    return _placement(placing, rollout.workload.owner, rollout.wanted, rollout.placed, waiting)


def _of_others(placing: Placing, left: Sequence[Pod]) -> Iterator[Placement]:
    for owner in dict.fromkeys(each.owner for each in left):
        pods = [each for each in placing.pods if each.owner == owner]
        placed = sum(each.node is not None for each in pods)
        yield _placement(placing, owner, len(pods), placed, [each for each in pods if each.node is None])


def _placement(placing: Placing, owner: Owner, pods: int, placed: int, waiting: Iterable[Pod]) -> Placement:
    reasons = dict.fromkeys(why(placing, each) for each in waiting)
    return Placement(owner.kind, owner.namespace, owner.name, owner.model, pods, placed, tuple(reasons))
