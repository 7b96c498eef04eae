"""Karpenter beside the node, where an environment has elastic pools: nodes of kwok come and go.

Its definitions are the cluster's, as they are a cloud's cluster's: a stack has node pools of them.
"""

import http.client
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from infra.local.cluster.commands import Tools, kubectl
from infra.local.cluster.layout import Layout
from infra.local.toolchain.paths import manifests_folder
from infra.targets.needs import InstanceType

NAME = "karpenter"
USER = "stellwerk:karpenter"
FILE = "instance-types.json"
# The label of what it has made for a pool.
OF_POOL = "karpenter.sh/nodepool"
_METRICS_PORT, _PROBES_PORT = 10243, 10244
# Without them Karpenter starts without the indexes of its kinds, and finds nothing until it is started again.
_CLAIMS = "nodeclaims.karpenter.sh"
_DEFINITIONS = ("nodepools.karpenter.sh", _CLAIMS, "kwoknodeclasses.karpenter.kwok.sh")
_READ, _WRITE = ["get", "list", "watch"], ["create", "update", "patch", "delete"]

RULES: list[tuple[list[str], list[str], list[str]]] = [
    (["karpenter.sh"], ["nodepools", "nodeclaims", "nodeoverlays"], _READ),
    (["karpenter.sh"], ["nodeclaims", "nodeclaims/status", "nodeclaims/finalizers"], _WRITE),
    (["karpenter.sh"], ["nodepools", "nodepools/status", "nodepools/finalizers"], ["update", "patch"]),
    (["karpenter.kwok.sh"], ["kwoknodeclasses"], _READ),
    (["karpenter.kwok.sh"], ["kwoknodeclasses", "kwoknodeclasses/status"], ["update", "patch"]),
    ([""], ["nodes"], [*_READ, *_WRITE]),
    ([""], ["pods"], [*_READ, "delete"]),
    ([""], ["pods/eviction"], ["create"]),
    ([""], ["events"], ["create", "patch"]),
    ([""], ["persistentvolumes", "persistentvolumeclaims", "replicationcontrollers", "namespaces"], _READ),
    (["apps"], ["daemonsets", "deployments", "replicasets", "statefulsets"], _READ),
    (["storage.k8s.io"], ["storageclasses", "csinodes", "volumeattachments"], _READ),
    (["policy"], ["poddisruptionbudgets"], _READ),
    (["apiextensions.k8s.io"], ["customresourcedefinitions"], _READ),
    (["coordination.k8s.io"], ["leases"], [*_READ, "delete"]),
]


def arguments(instance_types: Path, metrics_port: int = _METRICS_PORT, probes_port: int = _PROBES_PORT) -> list[str]:
    """Return the options of Karpenter, which takes its kubeconfig from KUBECONFIG; both ports are loopback's."""
    return [
        f"--instance-types-file-path={instance_types}", "--disable-leader-election=true",
        f"--metrics-port={metrics_port}", f"--health-probe-port={probes_port}",
    ]  # fmt: skip


def waiting(kubectl: Path) -> list[str]:
    """Return the command, by KUBECONFIG too, that ends when the API server has the definitions."""
    return [str(kubectl), "wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{x}" for x in _DEFINITIONS)]


def ready(port: int = _PROBES_PORT) -> bool:
    """Return whether it says at its port for probes that it works."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        asked.request("GET", "/readyz")
        return asked.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def leave(tools: Tools, layout: Layout) -> None:
    """Take away what it has made, where it ran and no environment has an elastic pool any more; its identity goes last.

    Without it nobody takes its finalizers off: its nodes would stay, and with them each pool that a stack deletes.
    Raise ClusterError where the API server does not answer.
    """
    identity = layout.identities / f"{NAME}.conf"
    if not identity.exists():
        return
    if kubectl(tools, layout, "get", "crd", _CLAIMS, "--ignore-not-found", "-o", "name"):
        for kind in (_CLAIMS, "nodes"):
            for name in kubectl(tools, layout, "get", kind, "--selector", OF_POOL, "-o", "name").split():
                freed = '{"metadata": {"finalizers": null}}'
                kubectl(tools, layout, "patch", name, "--type=merge", "--patch", freed)
                kubectl(tools, layout, "delete", name, "--ignore-not-found")
    identity.unlink()


def definitions(folder: Path | None = None) -> list[dict[str, Any]]:
    """Return the definitions of Karpenter's kinds, of the toolchain's manifests unless a folder has them."""
    place = folder or manifests_folder() / NAME
    files = sorted(path for part in ("crds", "kwok") for path in (place / part).glob("*.yaml"))
    return [document for path in files for document in yaml.safe_load_all(path.read_text()) if document]


def catalogue(types: Sequence[InstanceType]) -> str:
    """Return the file of instance types that Karpenter's provider of kwok nodes reads."""
    return json.dumps([_entry(each) for each in sorted(types, key=lambda each: each.name)], indent=1)


def _entry(each: InstanceType) -> dict[str, Any]:
    offerings = [
        {"Price": price, "Available": True, "Requirements": [_one("karpenter.sh/capacity-type", kind), _ZONE]}
        for kind, price in sorted(each.prices.items())
    ]
    return {
        "name": each.name,
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": dict(each.resources),
        "offerings": offerings,
    }


def _one(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}


_ZONE = _one("topology.kubernetes.io/zone", "local")
