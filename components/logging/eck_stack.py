"""Elasticsearch, Kibana, Logstash and Filebeat as custom resources of ECK, whose operator the cluster has."""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.kit import ports
from components.kit.custom import CustomResource
from components.kit.kubernetes import meta
from components.kit.names import LOG_INDEX, LOG_ROLES
from components.kit.network import allow_ingress
from components.kit.options import child
from components.kit.workload import Workload
from components.logging import eck_manifests as manifests
from components.logging.eck_arguments import EckStackArgs
from components.logging.log_shipper import SHIPPER
from components.logging.realm import realm_files
from components.logging.shipper_namespace import shipper_namespace

_KIBANA_PORT, _TRANSPORT_PORT = 5601, 9300
_READY = "jsonpath={.status.phase}=Ready"
_GREEN = "jsonpath={.status.health}=green"


class EckStack(pulumi.ComponentResource):
    """Elastic's stack by its own operator: certificates and the logins among its parts are the operator's."""

    url: pulumi.Output[str]
    """URL of Elasticsearch inside the cluster."""
    kibana: pulumi.Output[str]
    """URL of Kibana inside the cluster, where there is one."""

    def __init__(self, name: str, args: EckStackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        if not args["node_sets"]:
            raise ValueError("node_sets: empty; at least one set with the roles master and data")
        if unknown := sorted(set(args["users"]) - set(LOG_ROLES) - set(args["readers"])):
            raise ValueError(f"users: given {unknown}, which are neither of {sorted(LOG_ROLES)} nor among `readers`")
        super().__init__("stellwerk:index:EckStack", name, None, opts)
        store = self._store(name, args)
        if args["kibana"]:
            self._view(f"{name}-view", args, store)
        if args["logstash"]:
            self._pipeline(f"{name}-pipeline", args, store)
        self._filebeat(name, args, store)
        place = pulumi.Output.from_input(args["namespace"])
        self.url = pulumi.Output.concat(f"https://{manifests.STORE}-es-http.", place, f".svc:{ports.LOG_STORE}")
        self.kibana = pulumi.Output.concat(f"https://{manifests.VIEW}-kb-http.", place, f".svc:{_KIBANA_PORT}")
        # Names of the operator's Secrets with the authorities of both; for programs in Python alone.
        self.authorities = [f"{manifests.STORE}-es-http-certs-public"]
        if args["kibana"]:
            self.authorities.append(f"{manifests.VIEW}-kb-http-certs-public")
        self.register_outputs({"url": self.url, "kibana": self.kibana})

    def _store(self, name: str, args: EckStackArgs) -> CustomResource:
        workload = Workload(f"{name}-store", manifests.STORE, args["namespace"], self)
        realm = workload.secret(realm_files(args["users"], args["readers"], args["environment"]), "realm")
        spec = manifests.elasticsearch(args, realm)
        labels = {"elasticsearch.k8s.elastic.co/cluster-name": manifests.STORE}
        self._allow(f"{name}-store", manifests.STORE, args, labels, [ports.LOG_STORE, _TRANSPORT_PORT])
        metadata = _metadata(manifests.STORE, args["namespace"], _READY)
        return self._declare(f"{name}-store", "elasticsearch", "Elasticsearch", metadata, spec)

    def _view(self, name: str, args: EckStackArgs, store: CustomResource) -> None:
        labels = {"kibana.k8s.elastic.co/name": manifests.VIEW}
        self._allow(name, manifests.VIEW, args, labels, [_KIBANA_PORT])
        metadata = _metadata(manifests.VIEW, args["namespace"], _GREEN)
        self._declare(name, "kibana", "Kibana", metadata, manifests.kibana(args), after=store)

    def _pipeline(self, name: str, args: EckStackArgs, store: CustomResource) -> None:
        labels = {"logstash.k8s.elastic.co/name": manifests.PIPELINE}
        self._allow(name, manifests.PIPELINE, args, labels, [manifests.SYSLOG])
        metadata = _metadata(manifests.PIPELINE, args["namespace"], _GREEN)
        spec = manifests.logstash(args, f"{LOG_INDEX}-{args['environment']}")
        self._declare(name, "logstash", "Logstash", metadata, spec, version="v1alpha1", after=store)

    def _filebeat(self, name: str, args: EckStackArgs, store: CustomResource) -> None:
        namespace = shipper_namespace(f"{name}-shipper", args["environment"], self)
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "stellwerk.dev/simulated", "operator": "DoesNotExist"}]}
        ]}}}  # fmt: skip
        metadata = _metadata(SHIPPER, namespace, _GREEN)
        spec = manifests.filebeat(args, args["namespace"], affinity)
        self._declare(f"{name}-shipper", "beat", "Beat", metadata, spec, version="v1beta1", after=store)

    def _declare(
        self,
        name: str,
        group: str,
        kind: str,
        metadata: dict[str, Any],
        spec: dict[str, Any],
        *,
        version: str = "v1",
        after: pulumi.Resource | None = None,
    ) -> CustomResource:
        return CustomResource(
            name,
            api_version=f"{group}.k8s.elastic.co/{version}",
            kind=kind,
            metadata=metadata,
            spec=spec,
            opts=child(self, [after] if after else None),
        )

    def _allow(self, name: str, app: str, args: EckStackArgs, labels: dict[str, str], allowed: Sequence[int]) -> None:
        """Declare that everybody reaches these ports of the pods with the operator's labels."""
        metadata = meta.v1.ObjectMetaArgs(name=f"allow-{app}", namespace=args["namespace"])
        allow_ingress(f"{name}-ingress", metadata, labels, allowed, None, self)


def _metadata(title: str, namespace: pulumi.Input[str], ready: str) -> dict[str, Any]:
    return {"name": title, "namespace": namespace, "annotations": {"pulumi.com/waitFor": ready}}
