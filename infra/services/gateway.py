"""The HTTPS entry of the environment: a route for every model, in a gateway of its own or of the company's."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import Field
from pydantic.alias_generators import to_camel

from infra.composition.context import Composition
from infra.composition.handover import ModelServices, ModelUrls, Namespaces
from infra.composition.service import Certificate, NodePort, Service, Stack
from infra.contract.environment import PLATFORM, SERVING, Environment, PlatformImage, SectionField
from infra.contract.fields import Name, NamespaceName, Section
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.problems import Problem, proved, required, show

if TYPE_CHECKING:
    import pulumi

    from components.gateway.routes import ModelRouteArgs, ParentArgs
    from components.gateway.traefik import RouteArgs

_IMAGE = PlatformImage("traefik")
_KEY = "gateway"
_OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


class GatewayMode(StrEnum):
    """Who takes requests from outside."""

    EMBEDDED = "embedded"
    GATEWAY_API = "gatewayApi"
    INGRESS = "ingress"


class GatewayLimits(Section):
    """What each pod of the gateway lets through."""

    max_body_bytes: int = Field(
        default=16 * 1024**2, ge=1024, le=1024**3, description="bytes of a request's body, 1024 to 1073741824"
    )
    in_flight: int = Field(default=64, ge=1, le=10000, description="requests of a model at a time, 1 to 10000")
    requests_per_second: int = Field(
        default=500, ge=1, le=100000, description="requests of a client address to a model per second, 1 to 100000"
    )


class GatewayParent(Section):
    """The Gateway of somebody else's that routes attach to."""

    name: str = Field(pattern=_OBJECT_NAME, description="the name of a Gateway of the cluster")
    namespace: NamespaceName
    section: Name | None = None


class GatewaySection(Section):
    """The HTTPS entry of the environment."""

    mode: GatewayMode = Field(
        default=GatewayMode.EMBEDDED,
        description="embedded (this stack runs it), gatewayApi (routes in a Gateway of the cluster) or "
        "ingress (Ingress objects of a class of the cluster)",
    )
    node_port: NodePortNumber | None = None
    replicas: int = Field(default=2, ge=1, le=10, description="number of pods, 1 to 10")
    limits: GatewayLimits | None = None
    url: str | None = Field(
        default=None,
        pattern=r"^https://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(:[0-9]{1,5})?$",
        description="an https URL without a path",
    )
    parent: GatewayParent | None = None
    ingress_class: str | None = Field(default=None, pattern=_OBJECT_NAME, description="the name of an IngressClass")
    clients: tuple[NamespaceName, ...] = Field(
        default=(), description="a list of namespaces: those of the pods of the cluster's gateway"
    )
    annotations: dict[str, str] = Field(default={}, description="texts by the name of an annotation of each route")

    @property
    def hostname(self) -> str:
        """Return the name of the host that routes are for."""
        return urlsplit(proved(self.url)).hostname or ""


SECTION: SectionField[GatewaySection] = SectionField(_KEY, GatewaySection)
# Which keys mean something in which modes alone.
_ELSEWHERE = (GatewayMode.GATEWAY_API, GatewayMode.INGRESS)
_OF_MODES = {
    "url": _ELSEWHERE,
    "parent": (GatewayMode.GATEWAY_API,),
    "ingress_class": (GatewayMode.INGRESS,),
    "clients": _ELSEWHERE,
    "annotations": _ELSEWHERE,
}


def url(environment: Environment) -> str:
    """Return the URL of the entry."""
    section = _section(environment)
    if is_embedded(environment):
        return f"https://{environment.cluster.address}:{proved(section.node_port)}"
    return proved(section.url)


def is_embedded(environment: Environment) -> bool:
    """Return whether this stack runs the entry, with a certificate of the environment's own authority."""
    return _section(environment).mode is GatewayMode.EMBEDDED


def _section(environment: Environment) -> GatewaySection:
    return environment.section(SECTION)


def _rules(stack: Stack) -> Iterator[Problem]:
    section = _section(stack.environment)
    because = f"because mode is {section.mode.value}"
    for field, modes in _OF_MODES.items():
        if getattr(section, field) and section.mode not in modes:
            wanted = " or ".join(mode.value for mode in modes)
            key = (_KEY, to_camel(field))
            yield Problem(key, "a value", f"nothing, {because}", f"remove it, or set mode to {wanted}")
    if section.mode is GatewayMode.EMBEDDED:
        yield from required((_KEY, "nodePort"), section.node_port, f"a node port, {because}")
        return
    yield from required((_KEY, "url"), section.url, f"an https URL, {because}")
    if section.url and section.hostname.replace(".", "").isdigit():
        yield Problem((_KEY, "url"), show(section.url), "a URL with a name: routes know hosts by name", "name the host")
    if section.mode is GatewayMode.GATEWAY_API:
        yield from required((_KEY, "parent"), section.parent, f"the name and namespace of a Gateway, {because}")
    else:
        yield from required((_KEY, "ingressClass"), section.ingress_class, f"the name of an IngressClass, {because}")
        yield from required((_KEY, "clients"), section.clients or None, f"the controller's namespaces, {because}")
    if section.limits is not None:
        yield Problem(
            (_KEY, "limits"),
            "a value",
            f"null, {because}: neither Gateway API nor Ingress has words for sizes, rates and requests at a time",
            "set it to null, and these limits in the cluster's own gateway; servers keep theirs (docs/environments.md)",
        )


def _ports(environment: Environment) -> Iterator[NodePort]:
    port = _section(environment).node_port
    if port is not None and is_embedded(environment):
        yield NodePort((_KEY, "nodePort"), port, "gateway")


def _outside(environment: Environment) -> Iterator[str]:
    section = _section(environment)
    yield environment.cluster.address
    if section.mode is GatewayMode.INGRESS and section.url:
        yield section.hostname


def _compose(context: Composition) -> None:
    import pulumi

    reached = _own(context) if is_embedded(context.environment) else _elsewhere(context)
    pulumi.export("gateway", reached)


def _own(context: Composition) -> "pulumi.Output[str]":
    from components.gateway.gateway import Gateway

    values, section = context.environment, _section(context.environment)
    routes: list[RouteArgs] = [
        {"name": model, "path_prefix": _path(model), "url": inside}
        for model, inside in context.get(ModelUrls).by_model.items()
    ]
    limits = section.limits or GatewayLimits()
    gateway = Gateway(
        "gateway",
        {
            "namespace": context.get(Namespaces)[PLATFORM],
            "image": values.image(_IMAGE),
            "tls": context.tls,
            "address": values.cluster.address,
            "node_port": proved(section.node_port),
            "replicas": section.replicas,
            "routes": routes,
            "limits": {
                "max_body_bytes": limits.max_body_bytes,
                "in_flight": limits.in_flight,
                "requests_per_second": limits.requests_per_second,
            },
        },
        context.opts,
    )
    return gateway.url


def _elsewhere(context: Composition) -> "pulumi.Output[str]":
    from components.gateway.routes import GatewayRoutes, IngressRoutes

    section, namespace = _section(context.environment), context.get(Namespaces)[SERVING]
    routes: list[ModelRouteArgs] = [
        {"name": model, "path_prefix": _path(model), "services": dict(services)}
        for model, services in context.get(ModelServices).by_model.items()
    ]
    reached = proved(section.url)
    if section.mode is GatewayMode.INGRESS:
        ingress = IngressRoutes(
            "gateway",
            {
                "namespace": namespace,
                "ingress_class": proved(section.ingress_class),
                "hostname": section.hostname,
                "tls": context.tls,
                "clients": section.clients,
                "annotations": section.annotations,
                "routes": routes,
            },
            context.opts,
        )
        return ingress.hostname.apply(lambda _: reached)
    parent = proved(section.parent)
    attached: ParentArgs = {"name": parent.name, "namespace": parent.namespace, "section": parent.section}
    made = GatewayRoutes(
        "gateway",
        {
            "namespace": namespace,
            "parent": attached,
            "hostname": section.hostname,
            "clients": section.clients or (parent.namespace,),
            "annotations": section.annotations,
            "routes": routes,
        },
        context.opts,
    )
    return made.hostname.apply(lambda _: reached)


def _path(model: str) -> str:
    return f"/v2/models/{model}"


SERVICE = Service(
    "gateway",
    section=SECTION,
    images=(_IMAGE,),
    needs=(Namespaces, ModelUrls, ModelServices),
    rules=_rules,
    certificates=(Certificate(_KEY, ("gateway",), outside=_outside),),
    node_ports=_ports,
    compose=_compose,
)
