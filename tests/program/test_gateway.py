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


HOST = "models.example.com"
ATTACHED: dict[str, Any] = {
    "mode": "gatewayApi", "url": f"https://{HOST}",
    "parent": {"name": "public", "namespace": "edge", "section": "https"},
}  # fmt: skip
INGRESS: dict[str, Any] = {
    "mode": "ingress", "url": f"https://{HOST}:8443", "ingressClass": "nginx", "clients": ["ingress-nginx"],
    "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "16m"},
}  # fmt: skip


@pytest.fixture
def elsewhere(run: Run) -> Callable[[dict[str, Any]], Recording]:
    """prod's program with its entry in a gateway of the company's."""
    return lambda section: run({**stack_values("prod"), "gateway": section}, "prod")


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


def test_routes_are_attached_to_a_gateway_of_the_company_s(elsewhere: Callable[[dict[str, Any]], Recording]) -> None:
    program = elsewhere(ATTACHED)
    route = program.of_kind("HTTPRoute")["gateway-digits"]
    attached = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "edge"}
    assert route["spec"]["parentRefs"] == [{**attached, "sectionName": "https"}]
    assert route["spec"]["hostnames"] == [HOST]
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/v2/models/digits"}}]
    assert [(each["name"], each["weight"]) for each in rule["backendRefs"]] == [("digits-predictor", 1)]
    assert route["metadata"]["namespace"] == "prod-serving", "beside its Service: no grant is needed"
    assert "Accepted" in route["metadata"]["annotations"]["pulumi.com/waitFor"]
    assert program.outputs["gateway"] == f"https://{HOST}"
    assert "gateway" not in program.of_kind("Deployment"), "no gateway of its own"
    assert let_in(program) == ["edge"]


def test_the_gateway_s_pods_may_run_in_other_namespaces(elsewhere: Callable[[dict[str, Any]], Recording]) -> None:
    assert let_in(elsewhere({**ATTACHED, "clients": ["envoy", "envoy-2"]})) == ["envoy", "envoy-2"]


def test_an_ingress_per_model_with_a_certificate_of_the_environment_s(
    elsewhere: Callable[[dict[str, Any]], Recording],
) -> None:
    program = elsewhere(INGRESS)
    made = program.of_kind("Ingress")["gateway-digits"]
    secret = program.of_kind("Secret")["gateway-tls"]
    assert secret["type"] == "kubernetes.io/tls"
    assert made["metadata"]["annotations"].items() >= INGRESS["annotations"].items()
    assert made["spec"]["ingressClassName"] == "nginx"
    assert made["spec"]["tls"] == [{"hosts": [HOST], "secretName": secret["metadata"]["name"]}]
    (rule,) = made["spec"]["rules"]
    target = {"service": {"name": "digits-predictor", "port": {"number": 80}}}
    assert rule == {
        "host": HOST,
        "http": {"paths": [{"path": "/v2/models/digits", "pathType": "Prefix", "backend": target}]},
    }
    assert program.outputs["gateway"] == f"https://{HOST}:8443"
    assert let_in(program) == ["ingress-nginx"]


def let_in(program: Recording) -> list[str]:
    """The namespaces whose pods reach the models by the policy of the routes."""
    spec = program.of_kind("NetworkPolicy")["gateway-ingress"]["spec"]
    assert spec["podSelector"] == {"matchLabels": {}}
    (rule,) = spec["ingress"]
    return [each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in rule["from"]]
