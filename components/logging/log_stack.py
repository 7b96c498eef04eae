"""Elasticsearch, and a shipper on every node that brings the containers' log lines into it."""

import json
import os
from collections.abc import Mapping
from typing import TypedDict

import pulumi
from pulumi_kubernetes import apps, core, meta, networking

from components.kit import pods
from components.kit.access import KeyPairArgs
from components.kit.names import (
    CONTAINER_FIELD,
    ENVIRONMENT_FIELD,
    LOG_INDEX,
    LOG_INDEX_PATTERN,
    LOG_STORE,
    MODEL_FIELD,
    NAMESPACE_FIELD,
    POD_FIELD,
    RELEASE_FIELD,
    REQUEST_FIELD,
    RUN_FIELD,
    TIME_FIELD,
)
from components.logging.event_shipper import ship_events
from components.logging.log_shipper import POD_LOGS, POSITIONS, SHIPPER, STORE_PORT, shipper_config

_READY_PORT = 9399
_SIMULATED = "stellwerk.dev/simulated"

_ROLE_OF = {"shipper": "shipper", "reader": "reader", "elastic": "superuser"}
_ROLES = {
    "shipper": {"indices": [{"names": [LOG_INDEX_PATTERN], "privileges": ["create_doc", "auto_configure"]}]},
    "reader": {"indices": [{"names": [LOG_INDEX_PATTERN], "privileges": ["read"]}]},
}
_EXACT = {"type": "keyword", "ignore_above": 8191}
_EXACT_FIELDS = (
    *(MODEL_FIELD, RELEASE_FIELD, RUN_FIELD, REQUEST_FIELD),
    *(ENVIRONMENT_FIELD, NAMESPACE_FIELD, POD_FIELD, CONTAINER_FIELD),
    *("log.level", "log.logger", "trace.id", "event.kind", "event.reason", "error.message", "tags"),
)
_TEMPLATE = {
    "index_patterns": [LOG_INDEX],
    # Above the templates that the full distribution brings for logs.
    "priority": 500,
    "template": {
        "settings": {
            "number_of_shards": 1,
            "number_of_replicas": 0,
            # Named, it holds for an index that nobody has searched for a while, too.
            "refresh_interval": "1s",
            # A line with a field too many, or of another type, is stored with the rest of its fields.
            "mapping.total_fields.ignore_dynamic_beyond_limit": True,
            "mapping.ignore_malformed": True,
        },
        "mappings": {
            # Names keep their dots: `error` as a text and `error.message` of another line live side by side.
            "subobjects": False,
            "date_detection": False,
            "dynamic_templates": [{"exact": {"match_mapping_type": "string", "mapping": _EXACT}}],
            # Those that are asked for have their type whatever comes first, and however many others come.
            "properties": {
                TIME_FIELD: {"type": "date"},
                "message": {"type": "text"},
                **{field: _EXACT for field in _EXACT_FIELDS},
            },
        },
    },
}


class LogUserArgs(TypedDict):
    """A user of the log store."""

    password: pulumi.Input[str]
    """Password, a secret output."""
    hash: pulumi.Input[str]
    """bcrypt hash of the password, a secret output."""


class LogStackArgs(TypedDict):
    """Arguments of LogStack."""

    environment: str
    """Name of the environment; the shipper's namespace is `<environment>-logging`."""
    namespace: pulumi.Input[str]
    """Namespace Elasticsearch runs in, under Pod Security "restricted"."""
    image: pulumi.Input[str]
    """Image of Elasticsearch (components/logging/images/elasticsearch) by digest."""
    shipper_image: pulumi.Input[str]
    """Image of the log shipper: an OpenTelemetry Collector as entry point, which any node can pull."""
    pull_secret: pulumi.Input[str]
    """Name of the Secret with the registry login, in `namespace`."""
    tls: KeyPairArgs
    """TLS certificate for `log-store.<namespace>.svc.cluster.local` and for `address`, and its key."""
    trust_bundle: pulumi.Input[str]
    """Certificates of the authorities that the shippers take the store's certificate from, PEM."""
    users: Mapping[str, LogUserArgs]
    """Users by name: `shipper` (needed), `reader` and `elastic` (superuser)."""
    heap: str
    """Java heap of Elasticsearch: a number with m or g, such as 512m."""
    storage: str
    """Size of Elasticsearch's volume, in bytes with a binary unit."""
    address: str
    """IP address or host name under which nodes answer."""
    node_port: int
    """Node port of Elasticsearch."""
    pod_logs_path: str
    """Folder with the pods' logs on every node; the shipper keeps its positions beside it, in `log-shipper`."""


class LogStack(pulumi.ComponentResource):
    """Elasticsearch with TLS and users of its own, and an OpenTelemetry Collector per node that feeds it."""

    url: pulumi.Output[str]
    """URL of Elasticsearch outside the cluster, known once it is ready."""

    def __init__(self, name: str, args: LogStackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        if not {"shipper"} <= set(args["users"]) <= set(_ROLE_OF):
            raise ValueError(f"users: given {sorted(args['users'])}, allowed shipper (needed), reader, elastic")
        super().__init__("stellwerk:index:LogStack", name, None, opts)
        deployment = self._store(f"{name}-store", args)
        service = self._service(f"{name}-store-service", args)
        self._shipper(f"{name}-shipper", args, [deployment, service])
        outside = f"https://{args['address']}:{args['node_port']}"
        self.url = pulumi.Output.all(deployment.metadata.name, service.metadata.name).apply(lambda _: outside)
        self.register_outputs({"url": self.url})

    def _store(self, name: str, args: LogStackArgs) -> apps.v1.Deployment:
        namespace = args["namespace"]
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={"tls.crt": args["tls"]["certificate"], "tls.key": args["tls"]["key"], **_realm(args["users"])},
            opts=pods.child(self),
        )
        state = {"index_templates": {"composable_index_templates": {LOG_INDEX: _TEMPLATE}}}
        files = {"state.json": json.dumps(state, sort_keys=True)}
        config = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            data=files,
            opts=pods.child(self),
        )
        claim = pods.claim(f"{name}-data", namespace, args["storage"], pods.child(self))
        pods.allow_ingress(f"{name}-ingress", namespace, LOG_STORE, STORE_PORT, None, pods.child(self))
        pod = self._store_pod(args, secret.metadata.name, config.metadata.name, claim.metadata.name)
        return apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=LOG_STORE, namespace=namespace),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=1,
                # A second server on the volume would find it locked.
                strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": LOG_STORE}),
                template=pods.template(LOG_STORE, json.dumps(files, sort_keys=True), pod),
            ),
            opts=pods.child(self),
        )

    def _store_pod(
        self, args: LogStackArgs, secret: pulumi.Input[str], config: pulumi.Input[str], claim: pulumi.Input[str]
    ) -> core.v1.PodSpecArgs:
        container = core.v1.ContainerArgs(
            name="elasticsearch",
            image=args["image"],
            env=[
                core.v1.EnvVarArgs(name="HEAP", value=args["heap"]),
                core.v1.EnvVarArgs(name="SECRETS", value="/secret"),
                core.v1.EnvVarArgs(name="STATE", value="/state/state.json"),
            ],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources("200m", _memory(args["heap"])),
            # Open once the index template is in place: the first line must not make an index without it.
            readiness_probe=pods.tcp_probe(_READY_PORT),
            volume_mounts=[
                pods.mount("data", "/data"),
                pods.mount("secret", "/secret", read_only=True),
                pods.mount("state", "/state", read_only=True),
                pods.mount("config", "/config"),
                pods.mount("tmp", "/tmp"),  # noqa: S108
            ],
        )
        # The key is copied there: it stays off the node's disk.
        memory = core.v1.EmptyDirVolumeSourceArgs(medium="Memory", size_limit="8Mi")
        return core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            automount_service_account_token=False,
            enable_service_links=False,
            image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=args["pull_secret"])],
            containers=[container],
            volumes=[
                pods.claim_volume("data", claim),
                pods.secret_volume("secret", secret),
                pods.config_volume("state", config),
                core.v1.VolumeArgs(name="config", empty_dir=memory),
                pods.scratch_volume("tmp"),
            ],
        )

    def _service(self, name: str, args: LogStackArgs) -> core.v1.Service:
        return core.v1.Service(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=LOG_STORE, namespace=args["namespace"]),
            spec=core.v1.ServiceSpecArgs(
                type="NodePort",
                selector={"app": LOG_STORE},
                ports=[core.v1.ServicePortArgs(port=STORE_PORT, target_port=STORE_PORT, node_port=args["node_port"])],
            ),
            opts=pods.child(self),
        )

    def _shipper(self, name: str, args: LogStackArgs, store: list[pulumi.Resource]) -> None:
        namespace = self._shipper_namespace(name, args["environment"])
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            string_data={
                # The collector expands what it reads: a dollar sign stands for itself when doubled.
                "password": pulumi.Output.secret(args["users"]["shipper"]["password"]).apply(
                    lambda word: word.replace("$", "$$")
                ),
                "ca.crt": args["trust_bundle"],
            },
            opts=pods.child(self),
        )
        document = pulumi.Output.from_input(args["namespace"]).apply(
            lambda space: json.dumps(shipper_config(space), sort_keys=True)
        )
        config = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            data={"config.yaml": document},
            opts=pods.child(self),
        )
        apps.v1.DaemonSet(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=SHIPPER, namespace=namespace),
            spec=apps.v1.DaemonSetSpecArgs(
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": SHIPPER}),
                template=pods.template(
                    SHIPPER, document, self._shipper_pod(args, secret.metadata.name, config.metadata.name)
                ),
            ),
            opts=pods.child(self, store),
        )
        ship_events(
            name.replace("shipper", "events"),
            {
                "environment": args["environment"],
                "namespace": namespace,
                "store_namespace": args["namespace"],
                "image": args["shipper_image"],
                "secret": secret.metadata.name,
            },
            self,
            store,
        )

    def _shipper_namespace(self, name: str, environment: str) -> pulumi.Output[str]:
        """The shipper's own: Pod Security "restricted" and "baseline" refuse the hostPath volumes it lives on."""
        namespace = core.v1.Namespace(
            f"{name}-namespace",
            metadata=meta.v1.ObjectMetaArgs(
                name=f"{environment}-logging",
                labels={
                    "stellwerk.dev/environment": environment,
                    "stellwerk.dev/purpose": "logging",
                    "pod-security.kubernetes.io/enforce": "privileged",
                },
            ),
            opts=pods.child(self),
        )
        title: pulumi.Output[str] = namespace.metadata.name
        networking.v1.NetworkPolicy(
            f"{name}-deny",
            metadata=meta.v1.ObjectMetaArgs(name="default-deny", namespace=title),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.v1.LabelSelectorArgs(), policy_types=["Ingress"]
            ),
            opts=pods.child(self),
        )
        return title

    def _shipper_pod(
        self, args: LogStackArgs, secret: pulumi.Input[str], config: pulumi.Input[str]
    ) -> core.v1.PodSpecArgs:
        container = core.v1.ContainerArgs(
            name=SHIPPER,
            image=args["shipper_image"],
            args=["--config=file:/etc/log-shipper/config.yaml"],
            env=[core.v1.EnvVarArgs(name="GOMEMLIMIT", value="200MiB")],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources("50m", "256Mi", "1"),
            volume_mounts=[
                pods.mount("config", "/etc/log-shipper", read_only=True),
                pods.mount("secret", "/secret", read_only=True),
                pods.mount("pod-logs", POD_LOGS, read_only=True),
                pods.mount("positions", POSITIONS),
            ],
        )
        logs = args["pod_logs_path"]
        return core.v1.PodSpecArgs(
            # The log files belong to root and are closed to others; without capabilities root is but their owner.
            security_context=core.v1.PodSecurityContextArgs(
                run_as_user=0, run_as_group=0, seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault")
            ),
            automount_service_account_token=False,
            enable_service_links=False,
            # With the store away it does not end by itself, and it is safe to kill.
            termination_grace_period_seconds=10,
            affinity=_real_nodes(),
            # Nodes with accelerators are tainted, and have logs as well.
            tolerations=[core.v1.TolerationArgs(operator="Exists")],
            containers=[container],
            volumes=[
                pods.config_volume("config", config),
                pods.secret_volume("secret", secret),
                _host_volume("pod-logs", logs, "Directory"),
                _host_volume(
                    "positions", os.path.join(os.path.dirname(logs.rstrip("/")), SHIPPER), "DirectoryOrCreate"
                ),
            ],
        )


def _realm(users: Mapping[str, LogUserArgs]) -> dict[str, pulumi.Input[str]]:
    """Files of Elasticsearch's file realm, and the roles."""
    names = sorted(users)
    hashes: pulumi.Output[list[str]] = pulumi.Output.all(*(pulumi.Output.secret(users[name]["hash"]) for name in names))
    return {
        "users": hashes.apply(lambda known: "".join(f"{n}:{h}\n" for n, h in zip(names, known, strict=True))),
        "users_roles": "".join(f"{_ROLE_OF[name]}:{name}\n" for name in names),
        # One role per line: the server cuts the file at lines that are not indented.
        "roles.yml": "".join(f"{role}: {json.dumps(rights)}\n" for role, rights in _ROLES.items()),
    }


def _real_nodes() -> core.v1.AffinityArgs:
    """Nodes that run something: a simulated one has neither log files nor a kubelet."""
    simulated = core.v1.NodeSelectorRequirementArgs(key=_SIMULATED, operator="DoesNotExist")
    selector = core.v1.NodeSelectorArgs(
        node_selector_terms=[core.v1.NodeSelectorTermArgs(match_expressions=[simulated])]
    )
    return core.v1.AffinityArgs(
        node_affinity=core.v1.NodeAffinityArgs(required_during_scheduling_ignored_during_execution=selector)
    )


def _host_volume(name: str, path: str, kind: str) -> core.v1.VolumeArgs:
    return core.v1.VolumeArgs(name=name, host_path=core.v1.HostPathVolumeSourceArgs(path=path, type=kind))


def _memory(heap: str) -> str:
    """The server's memory limit: the heap, buffers of half its size, and 512Mi for code, threads and the launcher."""
    mebibytes = int(heap[:-1]) * (1024 if heap[-1] == "g" else 1)
    return f"{mebibytes * 3 // 2 + 512}Mi"
