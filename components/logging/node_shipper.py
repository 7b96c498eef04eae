"""The log shipper of every node: it reads the container logs where the kubelet keeps them."""

import os

import pulumi

from components.kit import pods
from components.kit.kubernetes import apps, core
from components.kit.security import SECCOMP
from components.kit.volumes import host_volume
from components.kit.workload import Workload
from components.logging.collector import SCRATCH, CollectorArgs, collector_config, collector_pod
from components.logging.log_shipper import POD_LOGS, POSITIONS, SHIPPER, shipper_config

_SIMULATED = "stellwerk.dev/simulated"


def ship_logs(
    name: str, args: CollectorArgs, pod_logs_path: str, parent: pulumi.Resource, store: list[pulumi.Resource]
) -> apps.v1.DaemonSet:
    """Declare the log shipper of every node; it keeps its positions beside the logs, in `log-shipper`."""
    workload = Workload(name, SHIPPER, args["namespace"], parent, args["priority_class"])
    document, config = collector_config(workload, args["target"], shipper_config)
    mounts = [pods.mount("pod-logs", POD_LOGS, read_only=True), pods.mount("positions", POSITIONS)]
    positions = os.path.join(os.path.dirname(pod_logs_path.rstrip("/")), SHIPPER)
    volumes = [
        host_volume("pod-logs", pod_logs_path, "Directory"),
        host_volume("positions", positions, "DirectoryOrCreate"),
    ]
    resources = pods.resources("50m", "256Mi", "1", scratch=SCRATCH)
    pod = collector_pod(SHIPPER, args, config, resources, "200MiB", mounts, volumes)
    # The log files belong to root and are closed to others; without capabilities root is but their owner.
    pod.security_context = core.v1.PodSecurityContextArgs(run_as_user=0, run_as_group=0, seccomp_profile=SECCOMP)
    pod.affinity = _real_nodes()
    # Nodes with accelerators are tainted, and have logs as well.
    pod.tolerations = [core.v1.TolerationArgs(operator="Exists")]
    return workload.daemon_set(pods.template(SHIPPER, pod, document), store)


def _real_nodes() -> core.v1.AffinityArgs:
    """Return the choice of nodes that run something: a simulated one has neither log files nor a kubelet."""
    simulated = core.v1.NodeSelectorRequirementArgs(key=_SIMULATED, operator="DoesNotExist")
    selector = core.v1.NodeSelectorArgs(
        node_selector_terms=[core.v1.NodeSelectorTermArgs(match_expressions=[simulated])]
    )
    return core.v1.AffinityArgs(
        node_affinity=core.v1.NodeAffinityArgs(required_during_scheduling_ignored_during_execution=selector)
    )
