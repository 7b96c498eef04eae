"""The wait for a revision whose number of pods an autoscaler sets."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest

from components.serving.looks import Looks
from components.serving.rollout import Scaling, remember, until_declared, until_served
from tests.components.test_rollout import REVISION, Cluster, deployment, of_another_revision, scaled

AUTOSCALED = replace(REVISION, scaling=Scaling(most=6))


def asking(number: int) -> dict[str, Any]:
    """A Deployment whose rollout is complete, with as many pods as somebody has asked for."""
    changed = copy.deepcopy(deployment(replicas=number, updatedReplicas=number, availableReplicas=number))
    changed["spec"]["replicas"] = number
    return changed


@pytest.mark.parametrize("number", [2, 5, 6])
def test_with_an_autoscaler_any_number_of_its_own_serves(number: int) -> None:
    cluster = Cluster([asking(number)])
    cluster.wait(AUTOSCALED)
    assert cluster.reported == []
    assert cluster.scales() == []


def test_what_kserve_takes_away_is_as_the_autoscaler_had_decided() -> None:
    """Its change of a Deployment sets the number to one: under load, the pods that are left could not bear it."""
    cluster = Cluster([asking(1)])
    cluster.decided = "5"
    asyncio.run(until_declared(AUTOSCALED, Looks(cluster, rest=0), cluster.reported.append, 0))
    assert cluster.scales() == [("scale", "deployment", "digits-predictor", "--replicas=5")]
    named = next(words for words in cluster.asked if words[:2] == ("get", "hpa"))
    assert named[2] == "digits-scale"


@pytest.mark.parametrize(("decided", "wanted"), [("", 2), ("1", 2), ("4", 4), ("9", 6)])
def test_a_revision_is_proved_by_pods_where_there_are_none(decided: str, wanted: int) -> None:
    cluster = Cluster([asking(0)], [asking(wanted)])
    cluster.decided = decided
    cluster.wait(replace(AUTOSCALED, scaling=Scaling(most=6, is_kedas=True)))
    assert cluster.scales() == [("scale", "deployment", "digits-predictor", f"--replicas={wanted}")]
    assert next(words for words in cluster.asked if words[:2] == ("get", "hpa"))[2] == "keda-hpa-digits-scale"


def update(cluster: Cluster) -> None:
    """Wait for a revision as an update does: from before KServe's change until it serves."""
    looks = Looks(cluster, rest=0)
    least = replace(AUTOSCALED, replicas=1)

    async def waits() -> None:
        await remember(least, looks, cluster.reported.append)
        await until_served(least, looks, cluster.reported.append, 0)

    asyncio.run(waits())


def test_an_update_gives_the_pods_back_that_the_autoscaler_has_given_up_meanwhile() -> None:
    """It may look between KServe's change and ours: one pod is within its bounds, and it takes it for its own."""
    cluster = Cluster([of_another_revision()], [asking(1)], [asking(4)])
    cluster.before, cluster.decided = "4", "1"
    update(cluster)
    assert cluster.scales() == [("scale", "deployment", "digits-predictor", "--replicas=4")]


def test_what_was_before_an_update_is_given_back_once() -> None:
    """Fewer than that are the autoscaler's own decision from then on."""
    cluster = Cluster([asking(1)], [asking(4)], [{**asking(3), "status": {}}], [asking(3)])
    cluster.before, cluster.decided = "4", "3"
    update(cluster)
    assert cluster.scales() == [("scale", "deployment", "digits-predictor", "--replicas=4")]


@pytest.mark.parametrize(("before", "wanted"), [("9", 6), ("0", 1), ("", 1)])
def test_what_was_before_is_bounded_by_the_values(before: str, wanted: int) -> None:
    cluster = Cluster([asking(0)], [asking(wanted)])
    cluster.before = before
    update(cluster)
    assert cluster.scales() == [("scale", "deployment", "digits-predictor", f"--replicas={wanted}")]


@pytest.mark.parametrize("was_scaled", [True, False])
def test_an_autoscaler_that_goes_sets_no_number_any_more(was_scaled: bool) -> None:
    cluster = Cluster([deployment()])
    revision = replace(REVISION, was_scaled=was_scaled)
    asyncio.run(until_declared(revision, Looks(cluster, rest=0), cluster.reported.append, 0))
    ended = [words[1:3] for words in cluster.asked if words[0] == "delete"]
    assert ended == ([("scaledobject", "digits-scale"), ("hpa", "digits-scale")] if was_scaled else [])


def test_a_number_that_is_declared_is_never_set_by_the_wait() -> None:
    cluster = Cluster([scaled()], [deployment()])
    cluster.wait()
    assert cluster.scales() == []
