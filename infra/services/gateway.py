"""The HTTPS entry of the environment: a route for every model."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from infra.composition.context import Composition
from infra.composition.handover import ModelUrls, Namespaces
from infra.composition.service import Certificate, NodePort, Service, Stack
from infra.contract.environment import PLATFORM, Environment, PlatformImage, Resources, SectionField
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.fields import Section
from infra.contract.problems import Problem, proved, required

if TYPE_CHECKING:
    from components.gateway.gateway import LoadBalancerArgs
    from components.gateway.traefik import RouteArgs

_IMAGE = PlatformImage("traefik")


class GatewayLimits(Section):
    """What each pod of the gateway lets through."""

    max_body_bytes: int = Field(
        default=16 * 1024**2, ge=1024, le=1024**3, description="bytes of a request's body, 1024 to 1073741824"
    )
    in_flight: int = Field(default=64, ge=1, le=10000, description="requests of a model at a time, 1 to 10000")
    requests_per_second: int = Field(
        default=500, ge=1, le=100000, description="requests of a client address to a model per second, 1 to 100000"
    )


class LoadBalancer(Section):
    """The load balancer in front of the gateway, which the cluster makes; it answers at port 443."""

    annotations: Mapping[str, str] = Field(default={}, description="annotations of the Service: a mapping of texts")
    class_name: str | None = Field(
        default=None, alias="class", min_length=1, description="the class of load balancers, or null"
    )


class GatewaySection(Section):
    """The HTTPS entry of the environment."""

    node_port: NodePortNumber | None = None
    load_balancer: LoadBalancer | None = Field(
        default=None, description="{} or a mapping with the keys annotations, class: instead of nodePort"
    )
    replicas: int | None = Field(
        default=None, ge=1, le=10, description="number of pods, 1 to 10; null: as many as the environment's size has"
    )
    resources: Resources | None = None
    limits: GatewayLimits = GatewayLimits()


SECTION: SectionField[GatewaySection] = SectionField("gateway", GatewaySection)


def url(environment: Environment) -> str:
    """Return the URL of the entry."""
    section = _section(environment)
    port = "" if section.load_balancer is not None else f":{proved(section.node_port)}"
    return f"https://{environment.cluster.address}{port}"


def _rules(stack: Stack) -> Iterator[Problem]:
    section = _section(stack.environment)
    if section.load_balancer is None:
        allowed = "a free node port, 30000 to 32767, or a loadBalancer"
        yield from required(("gateway", "nodePort"), section.node_port, allowed)
    elif section.node_port is not None:
        allowed = "null, because there is a loadBalancer"
        yield Problem(("gateway", "nodePort"), str(section.node_port), allowed, "remove one of the two keys")


def _ports(environment: Environment) -> Iterator[NodePort]:
    port = _section(environment).node_port
    # Whether it is given is another rule's.
    if port is not None:
        yield NodePort(("gateway", "nodePort"), port, "gateway")


def _section(environment: Environment) -> GatewaySection:
    return environment.section(SECTION)


def _load_balancer(section: GatewaySection) -> "LoadBalancerArgs | None":
    given = section.load_balancer
    return None if given is None else {"annotations": given.annotations, "class_name": given.class_name}


def _compose(context: Composition) -> None:
    import pulumi

    from components.gateway.gateway import Gateway

    values, section = context.environment, _section(context.environment)
    routes: list[RouteArgs] = [
        {"name": model, "path_prefix": f"/v2/models/{model}", "url": inside}
        for model, inside in context.get(ModelUrls).by_model.items()
    ]
    asked = values.defaults.gateway
    resources = section.resources or Resources(cpu=asked.cpu, memory=asked.memory)
    gateway = Gateway(
        "gateway",
        {
            "namespace": context.get(Namespaces)[PLATFORM],
            "image": values.image(_IMAGE),
            "tls": context.tls,
            "address": values.cluster.address,
            "node_port": section.node_port,
            "load_balancer": _load_balancer(section),
            "replicas": section.replicas or asked.replicas,
            "resources": {"cpu": resources.cpu, "memory": resources.memory},
            "priority_class": context.get(Namespaces).priority(PLATFORM),
            "routes": routes,
            "limits": {
                "max_body_bytes": section.limits.max_body_bytes,
                "in_flight": section.limits.in_flight,
                "requests_per_second": section.limits.requests_per_second,
            },
        },
        context.opts,
    )
    pulumi.export("gateway", gateway.url)


SERVICE = Service(
    "gateway",
    section=SECTION,
    images=(_IMAGE,),
    needs=(Namespaces, ModelUrls),
    certificates=(Certificate("gateway", ("gateway",)),),
    rules=_rules,
    node_ports=_ports,
    compose=_compose,
)
