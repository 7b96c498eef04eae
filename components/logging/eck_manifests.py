"""Specs of ECK's custom resources, in the API's spelling; a test has the real operator reconcile them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.kit.security import CONTAINER_MANIFEST
from components.logging.eck_arguments import EckStackArgs, LogNodeSetArgs
from components.logging.filebeat import filebeat_config
from components.logging.log_shipper import POD_LOGS
from components.logging.sizes import KIBANA, LOGSTASH

STORE = "log-store"
VIEW = "log-view"
PIPELINE = "log-pipeline"
SYSLOG = 5514
_PIPELINES = Path(__file__).parent / "pipelines"
# What Pod Security "restricted" asks of every container, and of pods; the user is that of the maker's images.
_CONTAINER = {
    key: CONTAINER_MANIFEST[key]
    for key in ("allowPrivilegeEscalation", "runAsNonRoot", "capabilities")
}  # fmt: skip
_POD = {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}


def elasticsearch(args: EckStackArgs, realm: Any) -> dict[str, Any]:
    """Return the spec of Elasticsearch, whose users and roles are in the Secret called `realm`."""
    return {
        "version": args["version"],
        **_image(args["images"].get("elasticsearch")),
        # The superuser that the operator would make is nobody's.
        "auth": {"roles": [{"secretName": realm}], "fileRealm": [{"secretName": realm}], "disableElasticUser": True},
        "secureSettings": [{"secretName": name} for name in args["secure_settings"]],
        # Lines outlive the object that declares their store.
        "volumeClaimDeletePolicy": "DeleteOnScaledownOnly",
        "nodeSets": [_node_set(each, args.get("priority_class")) for each in args["node_sets"]],
    }


def _node_set(values: LogNodeSetArgs, priority: Any) -> dict[str, Any]:
    roles = values.get("roles")
    storage_class = values.get("storage_class")
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": values["storage"]}},
        **({"storageClassName": storage_class} if storage_class else {}),
    }
    return {
        "name": values["name"],
        "count": values["count"],
        # Without it the nodes' kernels would have to be set for memory maps, by a privileged container.
        "config": {"node.store.allow_mmap": False, **({"node.roles": list(roles)} if roles else {})},
        "podTemplate": _pods("elasticsearch", priority, _resources(values["cpu"], values["memory"])),
        "volumeClaimTemplates": [{"metadata": {"name": "elasticsearch-data"}, "spec": claim}],
    }


def kibana(args: EckStackArgs) -> dict[str, Any]:
    """Return the spec of Kibana."""
    return {
        "version": args["version"],
        **_image(args["images"].get("kibana")),
        "count": args["kibana"],
        "elasticsearchRef": {"name": STORE},
        "config": {"telemetry.optIn": False, "telemetry.allowChangingOptInStatus": False},
        "podTemplate": _pods("kibana", args.get("priority_class"), _resources(*KIBANA)),
    }


def logstash(args: EckStackArgs, index: str) -> dict[str, Any]:
    """Return the spec of Logstash with all pipelines of the folder; `index` is what its indices' names begin with."""
    files = sorted(_PIPELINES.glob("*.conf"))
    variables = [{"name": "ENVIRONMENT", "value": args["environment"]}, {"name": "INDEX", "value": index}]
    init_containers = ["logstash-internal-init-config"]
    asked = _resources(*LOGSTASH)
    pods = _pods("logstash", args.get("priority_class"), asked, {"env": variables}, init_containers)
    listens = [
        {"name": "syslog-tcp", "port": SYSLOG, "protocol": "TCP", "targetPort": SYSLOG},
        {"name": "syslog-udp", "port": SYSLOG, "protocol": "UDP", "targetPort": SYSLOG},
    ]
    return {
        "version": args["version"],
        **_image(args["images"].get("logstash")),
        "count": args["logstash"],
        # What the names of the variables begin with that the operator sets.
        "elasticsearchRefs": [{"name": STORE, "clusterName": "store"}],
        "pipelines": [
            # On disk until the store has it: an outage loses nothing that was taken.
            {"pipeline.id": file.stem, "queue.type": "persisted", "config.string": file.read_text(encoding="utf-8")}
            for file in files
        ],
        "services": [{"name": "syslog", "service": {"spec": {"ports": listens}}}],
        "podTemplate": pods,
    }


def filebeat(args: EckStackArgs, namespace: Any, affinity: Any) -> dict[str, Any]:
    """Return the spec of Filebeat on every node, for the Elasticsearch in `namespace`."""
    mounts = {"volumeMounts": [_mount("pod-logs", POD_LOGS)]}
    pods = _pods("filebeat", args.get("priority_class"), _resources("50m", "512Mi"), mounts)
    pods["spec"] |= {
        # The log files belong to root and are closed to others; without capabilities root is but their owner.
        "securityContext": {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [{"operator": "Exists"}],
        "affinity": affinity,
        "volumes": [{"name": "pod-logs", "hostPath": {"path": args["pod_logs_path"], "type": "Directory"}}],
    }
    pods["spec"]["containers"][0]["securityContext"] = {**_CONTAINER, "runAsNonRoot": False, "runAsUser": 0}
    return {
        "type": "filebeat",
        "version": args["version"],
        **_image(args["images"].get("filebeat")),
        "elasticsearchRef": {"name": STORE, "namespace": namespace},
        "config": filebeat_config(STORE, args["buffer"]),
        "daemonSet": {"podTemplate": pods},
    }


def _pods(
    container: str,
    priority: Any,
    resources: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
    init_containers: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what is said of pods whose main container is `container`; `priority` is the name of their class or None.

    `init_containers` are the operator's own.
    """
    main = {"name": container, "resources": resources, "securityContext": _CONTAINER, **(more or {})}
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": _POD,
        "containers": [main],
    }
    if priority is not None:
        spec["priorityClassName"] = priority
    if init_containers:
        spec["initContainers"] = [{"name": name, "securityContext": _CONTAINER} for name in init_containers]
    return {"spec": spec}


def _image(reference: str | None) -> dict[str, str]:
    return {"image": reference} if reference else {}


def _mount(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "mountPath": path, "readOnly": True}


def _resources(cpu: str, memory: str) -> dict[str, dict[str, str]]:
    twice = f"{int(cpu[:-1]) * 2}m" if cpu.endswith("m") else str(float(cpu) * 2).removesuffix(".0")
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": twice, "memory": memory}}
