"""The wait for a revision whose number of pods an autoscaler sets."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest

from components.serving.looks import Looks
from components.serving.rollout import Scaling, until_declared
from tests.components.test_rollout import REVISION, Cluster, deployment, scaled

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


def test_a_number_that_is_declared_is_never_set_by_the_wait() -> None:
    cluster = Cluster([scaled()], [deployment()])
    cluster.wait()
    assert cluster.scales() == []
