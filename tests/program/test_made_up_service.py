"""A service that this project does not have is composed after what it needs, with credentials and certificate."""

from typing import Any

import pytest

from infra import services as own
from infra.discovery import Services, discover
from tests.program.conftest import Refused, Run
from tests.program.harness import SENTINEL, Recording, certificate, shown, stack_values
from tests.support import made_up

PORT = 30990


@pytest.fixture(scope="module")
def services() -> Services:
    return discover(own, made_up)


def values() -> dict[str, Any]:
    """prod with a feature store."""
    given = stack_values("prod")
    given["featureStore"] = {"nodePort": PORT}
    given["images"] = {"featureStore": "registry.example.com/feature-store:1"}
    given["credentials"]["featureStore"] = {"password": f"{SENTINEL}-feature-store"}
    given["credentials"]["tls"]["featureStore"] = {"certificate": certificate("feature-store"), "key": SENTINEL}
    return given


@pytest.fixture
def program(run: Run, services: Services) -> Recording:
    return run(values(), "prod", services)


def test_it_is_composed_with_what_others_hand_over(program: Recording) -> None:
    (secret,) = (inputs for key, inputs in program.inputs.items() if key.endswith(":Secret::feature-store"))
    assert shown(secret)["metadata"]["namespace"] == "prod-platform"
    assert shown(secret)["stringData"] == "[secret]"
    assert program.outputs["featureStore"]


def test_its_node_port_counts(program: Recording, run: Run) -> None:
    def ports(recording: Recording) -> int:
        quotas = recording.of_kind("ResourceQuota").values()
        (quota,) = (each for each in quotas if each["metadata"]["namespace"] == "prod-platform")
        return int(quota["spec"]["hard"]["services.nodeports"])

    assert ports(program) == ports(run(stack_values("prod"), "prod")) + 1


@pytest.mark.parametrize("path", [("featureStore",), ("tls", "featureStore")])
def test_its_credentials_are_needed(path: tuple[str, ...], refused: Refused, services: Services) -> None:
    given = values()
    node = given["credentials"]
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    message = refused("prod", given, services)
    assert ".".join(path) in message and "run `stellwerk init prod`" in message and SENTINEL not in message
