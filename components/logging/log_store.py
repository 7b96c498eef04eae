"""Elasticsearch with TLS and users of its own, on one volume."""

import json

import pulumi

from components.kit import pods, ports
from components.kit.access import key_pair_files
from components.kit.kubernetes import apps, core
from components.kit.names import LOG_STORE
from components.kit.volumes import claim_volume, config_volume, scratch_volume, secret_volume
from components.kit.workload import Workload, one_at_a_time
from components.logging.arguments import LogStackArgs
from components.logging.index_template import state_file
from components.logging.realm import realm_files
from components.logging.sizes import STORE_CPU, store_memory


def declare_store(name: str, args: LogStackArgs, parent: pulumi.Resource) -> tuple[apps.v1.Deployment, core.v1.Service]:
    """Declare Elasticsearch; return its Deployment and its Service."""
    workload = Workload(name, LOG_STORE, args["namespace"], parent, args.get("priority_class"))
    secret = workload.secret(
        {**key_pair_files(args["tls"]), **realm_files(args["users"], args.get("readers") or {}, args["environment"])}
    )
    files = {"state.json": state_file()}
    config = workload.config(files)
    pod = _pod(args, secret, config.metadata.name, workload.claim(args["storage"]))
    deployment = workload.deployment(
        pods.template(LOG_STORE, pod, json.dumps(files, sort_keys=True)),
        # A second server on the volume would find it locked.
        strategy=one_at_a_time(),
    )
    workload.allow([ports.LOG_STORE])
    return deployment, workload.service(ports.LOG_STORE, ports.LOG_STORE, node_port=args["node_port"])


def _pod(
    args: LogStackArgs, secret: pulumi.Input[str], config: pulumi.Input[str], claim: pulumi.Input[str]
) -> core.v1.PodSpecArgs:
    container = pods.container(
        "elasticsearch",
        args["image"],
        pods.resources(STORE_CPU, store_memory(args["heap"])),
        [
            pods.mount("data", "/data"),
            pods.mount("secret", "/secret", read_only=True),
            pods.mount("state", "/state", read_only=True),
            pods.mount("config", "/config"),
            pods.temporary(),
        ],
        env=pods.env({"HEAP": args["heap"], "SECRETS": "/secret", "STATE": "/state/state.json"}),
        # Open once the index template is in place: the first line must not make an index without it.
        readiness=pods.tcp_probe(ports.LOG_STORE_READY),
    )
    pod = pods.pod(
        [container],
        [
            claim_volume("data", claim),
            secret_volume("secret", secret),
            config_volume("state", config),
            # The key is copied into it: it stays off the node's disk.
            scratch_volume("config", "8Mi", memory=True),
            scratch_volume("tmp"),
        ],
        pull_secret=args.get("pull_secret"),
    )
    pod.enable_service_links = False
    return pod
