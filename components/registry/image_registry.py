"""A private image registry."""

import json
from typing import Any, NotRequired, TypedDict

import pulumi

from components.kit import pods, ports
from components.kit.access import KeyPairArgs, key_pair_files
from components.kit.kubernetes import core
from components.kit.volumes import claim_volume, config_volume, scratch_volume, secret_volume
from components.kit.workload import Workload, one_at_a_time

_APP = "registry"
_BACKEND = f"127.0.0.1:{ports.REGISTRY_BACKEND}"
_CONFIG = {
    "version": "0.1",
    "storage": {
        "filesystem": {"rootdirectory": "/var/lib/registry"},
        "delete": {"enabled": True},
        "redirect": {"disable": True},
    },
    # Nobody but the proxy beside it reaches it. It answers with paths: host and scheme are the proxy's matter.
    "http": {"addr": _BACKEND, "relativeurls": True},
    "log": {"level": "warn", "accesslog": {"disabled": True}},
}
_STATIC = {
    "entryPoints": {
        "https": {
            "address": f":{ports.REGISTRY}",
            # A layer of gigabytes takes its time: no limit on how long a request may be read.
            "transport": {"respondingTimeouts": {"readTimeout": "0s"}},
        }
    },
    "providers": {"file": {"directory": "/etc/proxy/routes", "watch": False}},
    "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    "log": {"level": "WARN"},
}


def _routes() -> dict[str, Any]:
    """Return Traefik's dynamic configuration: who may do what, which the registry itself does not distinguish."""

    def router(rule: str, priority: int, *middlewares: str) -> dict[str, Any]:
        return {"rule": rule, "priority": priority, "service": _APP, "middlewares": middlewares, "tls": {}}

    def login(users: str) -> dict[str, Any]:
        return {"basicAuth": {"usersFile": f"/etc/registry/{users}", "realm": "stellwerk", "removeHeader": True}}

    certificate = {"certFile": "/etc/registry/tls.crt", "keyFile": "/etc/registry/tls.key"}
    return {
        "http": {
            "routers": {
                # Answers 200 and nothing else: the probe.
                "alive": router("Path(`/`) && Method(`GET`)", 3),
                "pull": router("PathPrefix(`/v2/`) && (Method(`GET`) || Method(`HEAD`))", 2, "readers"),
                "push": router("PathPrefix(`/v2/`)", 1, "writers"),
            },
            "middlewares": {"readers": login("readers"), "writers": login("writers")},
            "services": {_APP: {"loadBalancer": {"servers": [{"url": f"http://{_BACKEND}"}]}}},
        },
        "tls": {
            "stores": {"default": {"defaultCertificate": certificate}},
            "options": {"default": {"minVersion": "VersionTLS12"}},
        },
    }


def files() -> dict[str, str]:
    """Return the configuration files of registry and proxy, by name; JSON is YAML."""
    documents = {"config.yml": _CONFIG, "traefik.yaml": _STATIC, "routes.yaml": _routes()}
    return {name: json.dumps(document, sort_keys=True) for name, document in documents.items()}


class ImageRegistryArgs(TypedDict):
    """Arguments of ImageRegistry."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: str
    """Image of the registry (distribution v3)."""
    proxy_image: str
    """Image of Traefik, which checks who may do what."""
    address: str
    """host:port under which nodes and builders reach it; the port is its node port."""
    tls: KeyPairArgs
    """TLS certificate and its key."""
    readers: pulumi.Input[str]
    """Logins that may pull, one bcrypt htpasswd line each."""
    writers: pulumi.Input[str]
    """Logins that may pull, push and delete, one bcrypt htpasswd line each."""
    storage: str
    """Size of its volume, in bytes with a binary unit."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""


class ImageRegistry(pulumi.ComponentResource):
    """Distribution v3 on a volume of its own, behind a proxy with TLS and logins that pull or push."""

    address: pulumi.Output[str]
    """host:port, known once the registry answers."""

    def __init__(self, name: str, args: ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ImageRegistry", name, None, opts)
        workload = Workload(name, _APP, args["namespace"], self, args.get("priority_class"))
        config = workload.config(files())
        secret = workload.secret(
            {
                **key_pair_files(args["tls"]),
                "readers": pulumi.Output.all(args["readers"], args["writers"]).apply("".join),
                "writers": args["writers"],
            }
        )
        pod = _pod(args, config.metadata.name, secret, workload.claim(args["storage"]))
        deployment = workload.deployment(
            pods.template(_APP, pod, json.dumps(files(), sort_keys=True)),
            # Two registries on one volume would not see each other's uploads.
            strategy=one_at_a_time(),
        )
        address = args["address"]
        service = workload.service(ports.REGISTRY, ports.REGISTRY, node_port=int(address.rsplit(":", 1)[1]))
        workload.allow([ports.REGISTRY])
        self.address = pulumi.Output.all(deployment.metadata.name, service.metadata.name).apply(lambda _: address)
        self.register_outputs({"address": self.address})


def _pod(
    args: ImageRegistryArgs, config: pulumi.Input[str], secret: pulumi.Input[str], claim: pulumi.Input[str]
) -> core.v1.PodSpecArgs:
    # Through the proxy to the registry: both have to answer. Which of them hangs nobody knows: both start again.
    answers = pods.https_probe("/", ports.REGISTRY)
    registry = pods.container(
        _APP,
        args["image"],
        pods.resources("50m", "384Mi"),
        [
            pods.mount("config", "/etc/distribution", read_only=True),
            pods.mount("data", "/var/lib/registry"),
            pods.temporary(),
        ],
        args=["serve", "/etc/distribution/config.yml"],
        env=pods.env({"OTEL_TRACES_EXPORTER": "none"}),
        liveness=answers,
    )
    proxy = pods.container(
        "proxy",
        args["proxy_image"],
        pods.resources("25m", "160Mi"),
        [
            pods.mount("proxy", "/etc/proxy", read_only=True),
            pods.mount("secret", "/etc/registry", read_only=True),
            pods.temporary("proxy-tmp"),
        ],
        args=["--configFile=/etc/proxy/traefik.yaml"],
        readiness=answers,
        liveness=answers,
    )
    return pods.pod(
        [registry, proxy],
        [
            config_volume("config", config, {"config.yml": "config.yml"}),
            config_volume("proxy", config, {"traefik.yaml": "traefik.yaml", "routes.yaml": "routes/routes.yaml"}),
            secret_volume("secret", secret),
            claim_volume("data", claim),
            scratch_volume("tmp"),
            scratch_volume("proxy-tmp"),
        ],
    )
