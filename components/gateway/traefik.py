"""Traefik's two files: what is fixed while a gateway runs, and what it reads again when it changes."""

import json
from collections.abc import Iterator, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit import ports

ROUTES = "/etc/gateway/routes"
TLS = "/etc/tls"
# A file of logins for each route that has some, by its name.
USERS = "/etc/gateway/users"
# Seconds after SIGTERM in which a gateway still takes requests: proxies and clients learn of its end meanwhile.
DRAIN_SECONDS = 8
# Seconds that requests may then still take.
FINISH_SECONDS = 25
# A connection this old is closed with its next response, and says so: until the drain is over a client that uses its
# connection has gone to another gateway.
_CONNECTION_SECONDS = 4
# What is larger waits in a file, not in memory, while it is read and until it is answered.
_MEMORY_BYTES = 128 * 1024
_KEY = "X-Stellwerk-Route"


class RouteArgs(TypedDict):
    """One route."""

    name: str
    """Name of the route: lower-case letters, digits, '-', '.'."""
    path_prefix: str
    """Requests whose path starts with it, or is it, are taken."""
    url: str
    """Service the requests go to."""
    users: NotRequired[pulumi.Input[str] | None]
    """Logins that are let in, one bcrypt htpasswd line each; everybody when absent."""


class LimitsArgs(TypedDict):
    """What one gateway pod lets through."""

    max_body_bytes: int
    """Bytes of a request's body; more is answered with 413."""
    in_flight: int
    """Requests of one route at a time; more are answered with 429."""
    requests_per_second: int
    """Requests of one client address to one route, over a while; more are answered with 429."""


def static_file() -> str:
    """Return the static configuration; a change needs a new process."""
    transport = {
        "keepAliveMaxTime": f"{_CONNECTION_SECONDS}s",
        "lifeCycle": {"requestAcceptGraceTimeout": f"{DRAIN_SECONDS}s", "graceTimeOut": f"{FINISH_SECONDS}s"},
        # Of a whole request: a client that sends a byte now and then holds nothing for longer.
        "respondingTimeouts": {"readTimeout": "60s", "idleTimeout": "120s"},
    }
    https = {"address": f":{ports.GATEWAY}", "transport": transport, "http": {"maxHeaderBytes": 64 * 1024}}
    document = {
        # The health port ends with the other: it says "not ready" while the gateway drains.
        "entryPoints": {
            "https": https,
            "health": {"address": f":{ports.GATEWAY_HEALTH}", "transport": {"lifeCycle": transport["lifeCycle"]}},
            "alive": {"address": f":{ports.GATEWAY_ALIVE}"},
        },
        # The health port's is routed by the file of routes: a gateway without its routes is alive, and not ready.
        "ping": {"entryPoint": "alive"},
        "providers": {"file": {"directory": ROUTES, "watch": True}, "providersThrottleDuration": "500ms"},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
    }
    return json.dumps(document, sort_keys=True)


def routes_file(routes: Sequence[RouteArgs], limits: LimitsArgs) -> str:
    """Return the dynamic configuration."""
    routers: dict[str, object] = {
        route["name"]: {
            "entryPoints": ["https"],
            "rule": f"Path(`{route['path_prefix']}`) || PathPrefix(`{route['path_prefix']}/`)",
            "service": route["name"],
            "middlewares": ["rate", *_login(route), "key", "in-flight", "body", "again"],
            "tls": {},
        }
        for route in routes
    }
    services = {
        route["name"]: {
            "loadBalancer": {
                "servers": [{"url": route["url"]}], "serversTransport": "default", "passHostHeader": True,
            }
        }
        for route in routes
    }  # fmt: skip
    ready = {"ready": {"entryPoints": ["health"], "rule": "Path(`/ping`)", "service": "ping@internal"}}
    http: dict[str, object] = {"routers": routers | ready}
    if routes:
        # Idle connections go before a draining pod does: none is used while it closes.
        transport = {"forwardingTimeouts": {"idleConnTimeout": "2s", "dialTimeout": "3s"}}
        http |= {
            "middlewares": _middlewares(limits) | _logins(routes),
            "serversTransports": {"default": transport},
            "services": services,
        }
    certificate = {"certFile": f"{TLS}/tls.crt", "keyFile": f"{TLS}/tls.key"}
    tls = {
        "stores": {"default": {"defaultCertificate": certificate}},
        "options": {"default": {"minVersion": "VersionTLS12"}},
    }
    return json.dumps({"http": http, "tls": tls}, sort_keys=True)


def _login(route: RouteArgs) -> Iterator[str]:
    """Yield the name of the middleware that asks for a login, where the route has some."""
    if route.get("users") is not None:
        yield f"login-{route['name']}"


def _logins(routes: Sequence[RouteArgs]) -> dict[str, object]:
    return {
        login: {"basicAuth": {"usersFile": f"{USERS}/{route['name']}", "realm": "stellwerk", "removeHeader": True}}
        for route in routes
        for login in _login(route)
    }


def _middlewares(limits: LimitsArgs) -> dict[str, object]:
    """Return the middlewares in the order in which a request meets them."""
    rate = limits["requests_per_second"]
    return {
        "rate": {"rateLimit": {"average": rate, "burst": 2 * rate}},
        # Traefik counts by something of the request. A client's own words would let it choose what it is counted under.
        "key": {"headers": {"customRequestHeaders": {_KEY: "all"}}},
        "in-flight": {"inFlightReq": {"amount": limits["in_flight"], "sourceCriterion": {"requestHeaderName": _KEY}}},
        # Predictions have no effects: one whose pod goes before it answered is asked again, once.
        "body": {
            "buffering": {
                "maxRequestBodyBytes": limits["max_body_bytes"],
                "memRequestBodyBytes": _MEMORY_BYTES,
                "memResponseBodyBytes": _MEMORY_BYTES,
                "retryExpression": "IsNetworkError() && Attempts() < 2",
            }
        },
        # No connection: proxies on the nodes may still name a pod that is gone. Some two seconds in all.
        "again": {"retry": {"attempts": 6, "initialInterval": "250ms"}},
    }
