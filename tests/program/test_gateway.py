"""The gateway of a stack: what its pods depend on, how many there are, and which limits hold."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components.gateway import traefik
from tests.program.conftest import Run
from tests.program.harness import Recording, stack_values

Changed = Callable[..., Recording]


@pytest.fixture
def changed(run: Run) -> Changed:
    """prod's program with other values of the gateway, and with further models."""

    def program(models: tuple[str, ...] = (), **gateway: Any) -> Recording:
        values = stack_values("prod")
        values["gateway"].update(gateway)
        values["models"] |= {name: {**values["models"]["digits"], "release": None} for name in models}
        return run(values, "prod")

    return program


def template(program: Recording) -> Any:
    return program.of_kind("Deployment")["gateway"]["spec"]["template"]


def routes(program: Recording) -> Any:
    return program.of_kind("ConfigMap")["gateway-routes"]["data"]["routes.yaml"]["[JSON]"]["http"]


def test_a_new_route_changes_no_pod(programs: Mapping[str, Recording], changed: Changed) -> None:
    more = changed(("letters",))
    assert "letters" in routes(more)["routers"]
    assert template(more) == template(programs["prod"])


def test_two_gateways_of_which_a_drain_of_nodes_leaves_one(program: Recording) -> None:
    deployment = program.of_kind("Deployment")["gateway"]
    budget = program.of_kind("PodDisruptionBudget")["gateway-budget"]
    assert deployment["spec"]["replicas"] == 2
    assert budget["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert budget["spec"] == {"maxUnavailable": 1, "selector": deployment["spec"]["selector"]}


def test_one_gateway_has_no_budget_that_would_hold_up_a_drain(changed: Changed) -> None:
    program = changed(replicas=1)
    assert program.of_kind("Deployment")["gateway"]["spec"]["replicas"] == 1
    assert "gateway-budget" not in program.of_kind("PodDisruptionBudget")


def test_pods_live_until_the_last_request_may_have_ended(program: Recording) -> None:
    grace = template(program)["spec"]["terminationGracePeriodSeconds"]
    assert grace > traefik.DRAIN_SECONDS + traefik.FINISH_SECONDS


def test_limits_are_values(changed: Changed) -> None:
    program = changed(limits={"maxBodyBytes": 2048, "inFlight": 3, "requestsPerSecond": 7})
    middlewares = routes(program)["middlewares"]
    assert middlewares["body"]["buffering"]["maxRequestBodyBytes"] == 2048
    assert middlewares["in-flight"]["inFlightReq"]["amount"] == 3
    assert middlewares["rate"]["rateLimit"]["average"] == 7
    assert set(routes(program)["routers"]["digits"]["middlewares"]) == set(middlewares)


def test_the_default_body_is_the_servers(program: Recording) -> None:
    assert routes(program)["middlewares"]["body"]["buffering"]["maxRequestBodyBytes"] == 16 * 1024**2


def test_no_token_of_the_api_server(program: Recording) -> None:
    assert template(program)["spec"]["automountServiceAccountToken"] is False
