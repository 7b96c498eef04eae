"""The gateway's values: who takes requests from outside, and what each kind of entry needs."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field
from pydantic.alias_generators import to_camel

from infra.composition.service import Ask, EveryValues, NodePort, Stack
from infra.contract.environment import Environment, Resources, SectionField
from infra.contract.fields import Name, NamespaceName, Section
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.problems import Problem, proved, required, show
from infra.contract.stacks import file_name

KEY = "gateway"
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


class LoadBalancer(Section):
    """The load balancer in front of the gateway, which the cluster makes; it answers at port 443."""

    annotations: Mapping[str, str] = Field(default={}, description="annotations of the Service: a mapping of texts")
    class_name: str | None = Field(
        default=None, alias="class", min_length=1, description="the class of load balancers, or null"
    )


class GatewaySection(Section):
    """The HTTPS entry of the environment."""

    mode: GatewayMode = Field(
        default=GatewayMode.EMBEDDED,
        description="embedded (this stack runs it), gatewayApi (routes in a Gateway of the cluster) or "
        "ingress (Ingress objects of a class of the cluster)",
    )
    node_port: NodePortNumber | None = None
    load_balancer: LoadBalancer | None = Field(
        default=None, description="{} or a mapping with the keys annotations, class: instead of nodePort"
    )
    replicas: int | None = Field(
        default=None, ge=1, le=10, description="number of pods, 1 to 10; null: as many as the environment's size has"
    )
    resources: Resources | None = None
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


SECTION: SectionField[GatewaySection] = SectionField(KEY, GatewaySection)
# Which keys mean something in which modes alone.
_ELSEWHERE = (GatewayMode.GATEWAY_API, GatewayMode.INGRESS)
_OF_MODES = {
    "load_balancer": (GatewayMode.EMBEDDED,),
    "resources": (GatewayMode.EMBEDDED,),
    "url": _ELSEWHERE,
    "parent": (GatewayMode.GATEWAY_API,),
    "ingress_class": (GatewayMode.INGRESS,),
    "clients": _ELSEWHERE,
    "annotations": _ELSEWHERE,
}


def url(environment: Environment) -> str:
    """Return the URL of the entry."""
    section = section_of(environment)
    if is_embedded(environment):
        port = "" if section.load_balancer is not None else f":{proved(section.node_port)}"
        return f"https://{environment.cluster.address}{port}"
    return proved(section.url)


def is_embedded(environment: Environment) -> bool:
    """Return whether this stack runs the entry, with a certificate of the environment's own authority."""
    return section_of(environment).mode is GatewayMode.EMBEDDED


def section_of(environment: Environment) -> GatewaySection:
    """Return the gateway's values of an environment."""
    return environment.section(SECTION)


def rules(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the gateway's values."""
    section = section_of(stack.environment)
    because = f"because mode is {section.mode.value}"
    for field, modes in _OF_MODES.items():
        if getattr(section, field) not in (None, (), {}) and section.mode not in modes:
            wanted = " or ".join(mode.value for mode in modes)
            key = (KEY, to_camel(field))
            yield Problem(key, "a value", f"nothing, {because}", f"remove it, or set mode to {wanted}")
    if section.mode is GatewayMode.EMBEDDED:
        yield from _entry(section, because)
        return
    yield from required((KEY, "url"), section.url, f"an https URL, {because}")
    if section.url and section.hostname.replace(".", "").isdigit():
        yield Problem((KEY, "url"), show(section.url), "a URL with a name: routes know hosts by name", "name the host")
    if section.mode is GatewayMode.GATEWAY_API:
        yield from required((KEY, "parent"), section.parent, f"the name and namespace of a Gateway, {because}")
    else:
        yield from required((KEY, "ingressClass"), section.ingress_class, f"the name of an IngressClass, {because}")
        yield from required((KEY, "clients"), section.clients or None, f"the controller's namespaces, {because}")
    if section.limits is not None:
        yield Problem(
            (KEY, "limits"),
            "a value",
            f"null, {because}: neither Gateway API nor Ingress has words for sizes, rates and requests at a time",
            "set it to null, and these limits in the cluster's own gateway; servers keep theirs (docs/environments.md)",
        )


def rules_beside(environment: Environment, every: EveryValues) -> Iterator[Problem]:
    """Yield which other environment has this URL and models of the same names: one gets the other's requests."""
    given, own = section_of(environment).url, environment.environment
    if given is None:
        return
    others = dict(every())
    served = _models(others.pop(own, {}))
    for name, values in others.items():
        section = values.get(KEY)
        both = sorted(served & _models(values))
        if both and isinstance(section, Mapping) and section.get("url") == given:
            yield Problem(
                (KEY, "url"),
                show(given),
                f"a URL of its own: {file_name(name)} has it, too, and {', '.join(both)} of either gets requests",
                "give each environment a host of its own",
            )


def _models(values: Mapping[str, Any]) -> set[str]:
    models = values.get("models")
    return set(models) if isinstance(models, Mapping) else set()


def _entry(section: GatewaySection, because: str) -> Iterator[Problem]:
    """Yield what is wrong where an entry of the stack's own is to be reached: at a node port or by a load balancer."""
    if section.load_balancer is None:
        allowed = f"a free node port, 30000 to 32767, or a loadBalancer, {because}"
        yield from required((KEY, "nodePort"), section.node_port, allowed)
    elif section.node_port is not None:
        allowed = "null, because there is a loadBalancer"
        yield Problem((KEY, "nodePort"), str(section.node_port), allowed, "remove one of the two keys")


def asks(environment: Environment) -> Iterator[Ask]:
    """Yield what the pods of an entry of the stack's own ask for."""
    section, asked = section_of(environment), environment.defaults.gateway
    if is_embedded(environment):
        resources = section.resources or Resources(cpu=asked.cpu, memory=asked.memory)
        path = (KEY, "resources" if section.resources else "replicas")
        yield Ask(path, section.replicas or asked.replicas, resources.cpu, resources.memory)


def ports(environment: Environment) -> Iterator[NodePort]:
    """Yield the node port of an entry of the stack's own."""
    port = section_of(environment).node_port
    if port is not None and is_embedded(environment):
        yield NodePort((KEY, "nodePort"), port, "gateway")


def outside(environment: Environment) -> Iterator[str]:
    """Yield the names by which clients outside know the entry."""
    section = section_of(environment)
    yield environment.cluster.address
    if section.mode is GatewayMode.INGRESS and section.url:
        yield section.hostname
