"""The HTTPS entry of the environment: a route for every model, in a gateway of its own or of the company's."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.composition.context import Composition
from infra.composition.handover import ModelServices, ModelUrls, Namespaces
from infra.composition.kinds import GATEWAY_API, KindNeed
from infra.composition.service import Certificate, Service
from infra.contract.environment import PLATFORM, SERVING, Environment, PlatformImage
from infra.contract.problems import proved
from infra.services.gateway.section import (
    KEY,
    SECTION,
    GatewayLimits,
    GatewayMode,
    GatewaySection,
    asks,
    is_embedded,
    outside,
    ports,
    rules,
    rules_beside,
    section_of,
    url,
)

if TYPE_CHECKING:
    import pulumi

    from components.gateway.gateway import LoadBalancerArgs
    from components.gateway.routes import ModelRouteArgs, ParentArgs
    from components.gateway.traefik import RouteArgs

__all__ = ["SECTION", "SERVICE", "is_embedded", "url"]

_IMAGE = PlatformImage("traefik")


def _kinds(environment: Environment) -> Iterator[KindNeed]:
    mode = section_of(environment).mode
    if mode is GatewayMode.GATEWAY_API:
        yield KindNeed(("gateway", "mode"), mode, (GATEWAY_API,))


def _compose(context: Composition) -> None:
    import pulumi

    reached = _own(context) if is_embedded(context.environment) else _elsewhere(context)
    pulumi.export("gateway", reached)


def _own(context: Composition) -> "pulumi.Output[str]":
    from components.gateway.gateway import Gateway

    values, section = context.environment, section_of(context.environment)
    routes: list[RouteArgs] = [
        {"name": model, "path_prefix": _path(model), "url": inside}
        for model, inside in context.get(ModelUrls).by_model.items()
    ]
    # No model is called so.
    routes += [
        {
            "name": f"page.{page.name}",
            "path_prefix": page.path,
            "url": page.url,
            "users": context.credentials.get(page.login).htpasswd(page.name),
        }
        for page in context.stack.pages()
    ]
    (asked,), limits = asks(values), section.limits or GatewayLimits()
    gateway = Gateway(
        "gateway",
        {
            "namespace": context.get(Namespaces)[PLATFORM],
            "image": values.image(_IMAGE),
            "tls": context.tls,
            "address": values.cluster.address,
            "node_port": section.node_port,
            "load_balancer": _load_balancer(section),
            "replicas": asked.pods,
            "resources": {"cpu": asked.cpu, "memory": asked.memory},
            "priority_class": context.get(Namespaces).priority(PLATFORM),
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


def _load_balancer(section: GatewaySection) -> "LoadBalancerArgs | None":
    given = section.load_balancer
    return None if given is None else {"annotations": given.annotations, "class_name": given.class_name}


def _elsewhere(context: Composition) -> "pulumi.Output[str]":
    from components.gateway.routes import GatewayRoutes, IngressRoutes

    section, namespace = section_of(context.environment), context.get(Namespaces)[SERVING]
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
    rules=rules,
    rules_beside=rules_beside,
    kinds=_kinds,
    asks=asks,
    certificates=(Certificate(KEY, ("gateway",), outside=outside),),
    node_ports=ports,
    compose=_compose,
)
