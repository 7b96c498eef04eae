"""Shippers alone, for a log store that runs elsewhere."""

from typing import NotRequired, TypedDict

import pulumi

from components.kit.access import LoginArgs
from components.kit.workload import Workload
from components.logging.collector import CollectorArgs
from components.logging.event_shipper import ship_events
from components.logging.log_shipper import SHIPPER, LogTarget
from components.logging.node_shipper import ship_logs
from components.logging.shipper_namespace import shipper_namespace


class LogShippersArgs(TypedDict):
    """Arguments of LogShippers."""

    environment: str
    """Name of the environment; the shippers' namespace is `<environment>-logging`."""
    url: str
    """URL of Elasticsearch."""
    login: LoginArgs
    """User that may create documents in the data stream."""
    data_stream: str
    """Data stream that takes all lines and events."""
    trust_bundle: pulumi.Input[str]
    """Certificates of the authorities that the store's own may come from, PEM."""
    image: pulumi.Input[str]
    """Image of the log shipper: an OpenTelemetry Collector as entry point, which any node can pull."""
    pod_logs_path: str
    """Folder with the pods' logs on every node; the shipper keeps its positions beside it, in `log-shipper`."""
    buffer: int
    """Size of the queue on each node's disk, in bytes: full, it stops the reading."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the shippers' priority class; none when absent."""


class LogShippers(pulumi.ComponentResource):
    """An OpenTelemetry Collector per node, and one for events, which feed an Elasticsearch of somebody else's."""

    namespace: pulumi.Output[str]
    """Namespace of the shippers."""

    def __init__(self, name: str, args: LogShippersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:LogShippers", name, None, opts)
        self.namespace = shipper_namespace(name, args["environment"], self)
        target = pulumi.Output.from_input(args["login"]["username"]).apply(
            lambda user: LogTarget(
                endpoint=args["url"], username=user, data_stream=args["data_stream"], buffer_bytes=args["buffer"]
            )
        )
        collector: CollectorArgs = {
            "namespace": self.namespace,
            "target": target,
            "image": args["image"],
            "priority_class": args.get("priority_class"),
            "secret": Workload(name, SHIPPER, self.namespace, self).secret(
                store_secret(args["login"]["password"], args["trust_bundle"])
            ),
        }
        ship_logs(name, collector, args["pod_logs_path"], self, [])
        ship_events(f"{name}-events", args["environment"], collector, self, [])
        self.register_outputs({"namespace": self.namespace})


def store_secret(password: pulumi.Input[str], trust_bundle: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Return what the shippers' Secret has: password and authorities of the store."""
    # The collector expands what it reads: a dollar sign stands for itself when doubled.
    doubled = pulumi.Output.secret(password).apply(lambda word: word.replace("$", "$$"))
    return {"password": doubled, "ca.crt": trust_bundle}
