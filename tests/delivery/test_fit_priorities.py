"""What a plan says of pods that others displace is what the scheduler of a cluster of simulated nodes then does."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from delivery.clients.control_plane import control_plane
from delivery.clients.kubectl import Kubectl
from delivery.clients.plan import Plan, Step
from tests.support.placements import Playground
from tests.support.simulated import asked, simulated_cluster, variables
from tests.support.situations import NAMESPACE, Situation, node

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
Object = dict[str, Any]


def priority(name: str, value: int, preemption: str = "PreemptLowerPriority") -> Object:
    about = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
    return {**about, "value": value, "globalDefault": False, "preemptionPolicy": preemption}


FIRST, PATIENT, LAST = priority("first", 3000), priority("patient", 3000, "Never"), priority("last", 100)


def deployment(name: str, replicas: int, cpu: str, ranked: Object | None = None) -> Object:
    resources = {"requests": {"cpu": cpu, "memory": "64Mi"}}
    pod: Object = {"containers": [{"name": "c", "image": "none:1", "resources": resources}]}
    pod |= {"terminationGracePeriodSeconds": 0}
    pod |= {} if ranked is None else {"priorityClassName": ranked["metadata"]["name"]}
    spec = {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }  # fmt: skip
    about = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": spec}


@dataclass
class Ranked(Situation):
    """A situation on one node of four cores; `planned` are priority classes that the plan makes."""

    planned: list[Object] = field(default_factory=list)

    def plan(self) -> Plan:
        kind = "kubernetes:scheduling.k8s.io/v1:PriorityClass"
        steps = [
            Step(f"urn:pulumi:x::x::{kind}::{name}", "create", kind, "", False, "", ("", name), (), inputs=each)
            for each in self.planned
            for name in [each["metadata"]["name"]]
        ]
        return replace(super().plan(), steps=(*steps, *super().plan().steps))


def situation(before: list[Object], after: list[Object], planned: list[Object] | None = None) -> Ranked:
    capacity = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    return Ranked([node("one", "p", capacity, [])], [], None, before, after, planned or [])


@dataclass(frozen=True)
class BeforeThePlan:
    """A cluster that does not have the classes of the plan yet."""

    cluster: Kubectl
    planned: frozenset[str]

    def objects(self, *words: str) -> list[Object]:
        return [each for each in self.cluster.objects(*words) if each["metadata"]["name"] not in self.planned]


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    folder = tmp_path_factory.mktemp("cluster")
    with simulated_cluster(folder) as plane:
        for each in (FIRST, PATIENT, LAST):
            plane.create(CLASSES, each)
        yield Playground(plane, asked(plane), partial(control_plane, variables(), folder))


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        pytest.param(
            [deployment("old", 3, "1", LAST)], [deployment("new", 2, "1", FIRST)], {"old"}, id="one is displaced"
        ),
        pytest.param([deployment("old", 3, "1", LAST)], [deployment("new", 1, "1", FIRST)], set(), id="room for all"),
        pytest.param(
            [deployment("old", 3, "1", LAST)], [deployment("new", 2, "1", PATIENT)], {"new"}, id="it waits for room"
        ),
        pytest.param(
            [deployment("old", 3, "1", FIRST)], [deployment("new", 2, "1", LAST)], {"new"}, id="it displaces nobody"
        ),
        pytest.param([deployment("old", 3, "1")], [deployment("new", 2, "1", LAST)], {"old"}, id="who has no class"),
        pytest.param(
            [deployment("old", 2, "1", LAST)], [deployment("new", 1, "5", FIRST)], {"new"}, id="too large in any case"
        ),
    ],
)
def test_what_a_plan_displaces_does_not_fit_any_more(
    playground: Playground, before: list[Object], after: list[Object], refused: set[str]
) -> None:
    said, lacking = playground.play(situation(before, after))
    assert {each.name for each in said.placements if not each.fits} == lacking == refused
    assert said.unseen == ()


def test_a_class_that_the_plan_makes_displaces_as_one_that_there_is(playground: Playground) -> None:
    view = BeforeThePlan(playground.kubectl, frozenset({"first"}))
    new = replace(playground, kubectl=view)  # type: ignore[arg-type]
    given = situation([deployment("old", 3, "1", LAST)], [deployment("new", 2, "1", FIRST)], [FIRST])
    said, lacking = new.play(given)
    placements = {each.name: (each.placed, each.pods) for each in said.placements}
    assert placements == {"new": (2, 2), "old": (2, 3)}
    assert lacking == {"old"}
