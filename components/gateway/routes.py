"""The routes to an environment's models in a gateway that somebody else runs: by Gateway API, or by Ingress."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.cluster.rights import GATEWAY_API as API
from components.kit import ports
from components.kit.access import KeyPairArgs, key_pair_files
from components.kit.custom import CustomResource
from components.kit.kubernetes import meta, networking
from components.kit.network import allow_ingress, namespace_peer
from components.kit.options import child
from components.kit.secrets import declare_secret

# What Services of models listen on.
_PORT = 80
# A gateway answers for each route that it has looked at. Whether the Services exist is no matter of its acceptance.
_ACCEPTED = 'jsonpath={.status.parents[*].conditions[?(@.type=="Accepted")].status}=True'


class ParentArgs(TypedDict):
    """The Gateway that routes attach to."""

    name: str
    """Name of the Gateway."""
    namespace: str
    """Namespace of the Gateway."""
    section: NotRequired[str | None]
    """Name of its listener; all that let the routes in when absent."""


class ModelRouteArgs(TypedDict):
    """The route of one model."""

    name: str
    """Name of the route: lower-case letters, digits, '-'."""
    path_prefix: str
    """Requests whose path starts with it, or is it, are taken."""
    services: Mapping[str, int]
    """Services of the namespace, each with its share of the requests: shares of 9 and 1 send it 90 % and 10 %."""


class GatewayRoutesArgs(TypedDict):
    """Arguments of GatewayRoutes."""

    namespace: pulumi.Input[str]
    """Namespace of the models' Services, in which the routes are made."""
    parent: ParentArgs
    """The Gateway."""
    hostname: str
    """Name of the host whose requests are taken."""
    clients: Sequence[pulumi.Input[str]]
    """Namespaces of the gateway's pods: these may connect to the models."""
    annotations: NotRequired[Mapping[str, str]]
    """Annotations of each route, for what the gateway's own controller takes from them."""
    routes: Sequence[ModelRouteArgs]
    """Where requests go."""


class GatewayRoutes(pulumi.ComponentResource):
    """An HTTPRoute of the Gateway API for each model, attached to a Gateway of somebody else's.

    An update ends once the Gateway has accepted every route. TLS, logins, and limits of sizes and rates are the
    Gateway's own: the API has no words for the last two that all gateways know.
    """

    hostname: pulumi.Output[str]
    """Name of the host, known once the Gateway takes requests for it."""

    def __init__(self, name: str, args: GatewayRoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:GatewayRoutes", name, None, opts)
        _let_in(name, args["namespace"], args["clients"], self)
        routes = [
            CustomResource(
                f"{name}-{route['name']}",
                api_version=f"{API}/v1",
                kind="HTTPRoute",
                metadata=meta.v1.ObjectMetaArgs(
                    name=route["name"],
                    namespace=args["namespace"],
                    annotations={**args.get("annotations", {}), "pulumi.com/waitFor": _ACCEPTED},
                ),
                spec=_http_route(route, args),
                opts=child(self),
            )
            for route in args["routes"]
        ]
        hostname = args["hostname"]
        self.hostname = pulumi.Output.all(*(route.metadata for route in routes)).apply(lambda _: hostname)
        self.register_outputs({"hostname": self.hostname})


class IngressRoutesArgs(TypedDict):
    """Arguments of IngressRoutes."""

    namespace: pulumi.Input[str]
    """Namespace of the models' Services, in which the routes are made."""
    ingress_class: str
    """Class of the Ingress objects: which controller takes them."""
    hostname: str
    """Name of the host whose requests are taken."""
    tls: KeyPairArgs
    """TLS certificate for the name of the host, and its key."""
    clients: Sequence[pulumi.Input[str]]
    """Namespaces of the controller's pods: these may connect to the models."""
    annotations: NotRequired[Mapping[str, str]]
    """Annotations of each route, for what the controller takes from them: sizes of bodies, logins."""
    routes: Sequence[ModelRouteArgs]
    """Where requests go: an Ingress sends them to one Service."""


class IngressRoutes(pulumi.ComponentResource):
    """An Ingress for each model, for a controller of somebody else's; TLS by a certificate of the environment's own."""

    hostname: pulumi.Output[str]
    """Name of the host, known once the routes are made."""

    def __init__(self, name: str, args: IngressRoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:IngressRoutes", name, None, opts)
        _let_in(name, args["namespace"], args["clients"], self)
        secret = declare_secret(
            f"{name}-tls", args["namespace"], key_pair_files(args["tls"]), self, "kubernetes.io/tls"
        )
        routes = [
            networking.v1.Ingress(
                f"{name}-{route['name']}",
                metadata=meta.v1.ObjectMetaArgs(
                    name=route["name"],
                    namespace=args["namespace"],
                    # A model without a release has no Service yet, and some controllers tell no address.
                    annotations={**args.get("annotations", {}), "pulumi.com/skipAwait": "true"},
                ),
                spec=networking.v1.IngressSpecArgs(
                    ingress_class_name=args["ingress_class"],
                    tls=[networking.v1.IngressTLSArgs(hosts=[args["hostname"]], secret_name=secret)],
                    rules=[_ingress_rule(route, args["hostname"])],
                ),
                opts=child(self),
            )
            for route in args["routes"]
        ]
        hostname = args["hostname"]
        self.hostname = pulumi.Output.all(*(route.metadata for route in routes)).apply(lambda _: hostname)
        self.register_outputs({"hostname": self.hostname})


def _let_in(
    name: str, namespace: pulumi.Input[str], clients: Sequence[pulumi.Input[str]], parent: pulumi.Resource
) -> None:
    """Declare that the gateway's pods reach the models, which are all that the namespace has."""
    metadata = meta.v1.ObjectMetaArgs(name="allow-gateway", namespace=namespace)
    allow_ingress(f"{name}-ingress", metadata, {}, [ports.MODEL], [namespace_peer(each) for each in clients], parent)


def _http_route(route: ModelRouteArgs, args: GatewayRoutesArgs) -> dict[str, object]:
    parent = args["parent"]
    attached: dict[str, object] = {
        "group": API,
        "kind": "Gateway",
        **{key: parent[key] for key in ("name", "namespace")},
    }
    if section := parent.get("section"):
        attached["sectionName"] = section
    match = {"path": {"type": "PathPrefix", "value": route["path_prefix"]}}
    targets = [
        {"group": "", "kind": "Service", "name": service, "port": _PORT, "weight": weight}
        for service, weight in route["services"].items()
    ]
    return {
        "parentRefs": [attached],
        "hostnames": [args["hostname"]],
        "rules": [{"matches": [match], "backendRefs": targets}],
    }


def _ingress_rule(route: ModelRouteArgs, hostname: str) -> networking.v1.IngressRuleArgs:
    """Return the rule of a route; raise ValueError where requests are to be split, which an Ingress can't say."""
    services = [service for service, weight in route["services"].items() if weight]
    if len(services) != 1:
        raise ValueError(
            f"{route['name']}: an Ingress sends all requests to one Service, and {len(services)} are to share them: "
            f"{', '.join(services) or 'none'}; a split takes the embedded gateway or Gateway API"
        )
    port = networking.v1.ServiceBackendPortArgs(number=_PORT)
    target = networking.v1.IngressServiceBackendArgs(name=services[0], port=port)
    path = networking.v1.HTTPIngressPathArgs(
        path=route["path_prefix"], path_type="Prefix", backend=networking.v1.IngressBackendArgs(service=target)
    )
    return networking.v1.IngressRuleArgs(host=hostname, http=networking.v1.HTTPIngressRuleValueArgs(paths=[path]))
