"""Elasticsearch, and a shipper on every node that brings the containers' log lines into it."""

import pulumi

from components.kit.names import LOG_ROLES
from components.kit.workload import Workload
from components.logging.arguments import LogStackArgs
from components.logging.collector import CollectorArgs
from components.logging.event_shipper import ship_events
from components.logging.log_shipper import SHIPPER, embedded_target
from components.logging.log_shippers import store_secret
from components.logging.log_store import declare_store
from components.logging.node_shipper import ship_logs
from components.logging.shipper_namespace import shipper_namespace


class LogStack(pulumi.ComponentResource):
    """Elasticsearch with TLS and users of its own, and an OpenTelemetry Collector per node that feeds it."""

    url: pulumi.Output[str]
    """URL of Elasticsearch outside the cluster, known once it is ready."""

    def __init__(self, name: str, args: LogStackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        if not {"shipper"} <= set(args["users"]) <= {*LOG_ROLES, *(args.get("readers") or ())}:
            allowed = "shipper (needed), reader, keeper, application, elastic and those of `readers`"
            raise ValueError(f"users: given {sorted(args['users'])}, allowed {allowed}")
        super().__init__("stellwerk:index:LogStack", name, None, opts)
        deployment, service = declare_store(f"{name}-store", args, self)
        self._shippers(name, args, [deployment, service])
        outside = f"https://{args['address']}:{args['node_port']}"
        self.url = pulumi.Output.all(deployment.metadata.name, service.metadata.name).apply(lambda _: outside)
        self.register_outputs({"url": self.url})

    def _shippers(self, name: str, args: LogStackArgs, store: list[pulumi.Resource]) -> None:
        namespace = shipper_namespace(f"{name}-shipper", args["environment"], self)
        login = Workload(f"{name}-shipper", SHIPPER, namespace, self).secret(
            store_secret(args["users"]["shipper"]["password"], args["trust_bundle"])
        )
        collector: CollectorArgs = {
            "namespace": namespace,
            "target": pulumi.Output.from_input(args["namespace"]).apply(
                lambda space: embedded_target(space, args.get("buffer"))
            ),
            "image": args["shipper_image"],
            "secret": login,
            # The last to go where a node has no room: whatever goes before them is to be read in their store.
            "priority_class": args.get("priority_class"),
        }
        ship_logs(f"{name}-shipper", collector, args["pod_logs_path"], self, store)
        ship_events(f"{name}-events", args["environment"], collector, self, store)
