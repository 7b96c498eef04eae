"""The HTTPS entry of the environment: a route for every model."""

from typing import TYPE_CHECKING

from pydantic import Field

from infra.composition.context import Composition
from infra.composition.handover import ModelUrls, Namespaces
from infra.composition.service import Certificate, NodePort, Service
from infra.contract.environment import PLATFORM, Environment, PlatformImage, Resources, SectionField
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.fields import Section

if TYPE_CHECKING:
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


class GatewaySection(Section):
    """The HTTPS entry of the environment."""

    node_port: NodePortNumber
    replicas: int | None = Field(
        default=None, ge=1, le=10, description="number of pods, 1 to 10; null: as many as the environment's size has"
    )
    resources: Resources | None = None
    limits: GatewayLimits = GatewayLimits()


SECTION: SectionField[GatewaySection] = SectionField("gateway", GatewaySection)


def url(environment: Environment) -> str:
    """Return the URL of the entry."""
    return f"https://{environment.cluster.address}:{_section(environment).node_port}"


def _section(environment: Environment) -> GatewaySection:
    return environment.section(SECTION)


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
    node_ports=lambda environment: [NodePort(("gateway", "nodePort"), _section(environment).node_port, "gateway")],
    compose=_compose,
)
