"""A cluster as its scheduler sees it: of each object what placing looks at, and nothing that could be secret."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from components.kit.names import CAPACITY

Object = Mapping[str, Any]

# What is asked of a cluster, in the order in which one needs the other.
KINDS = (
    "namespaces", "priorityclasses", "runtimeclasses", "storageclasses", "nodes", "persistentvolumes",
    "persistentvolumeclaims", "services", "replicasets.apps", "statefulsets.apps", "limitranges", "resourcequotas",
    "pods",
)  # fmt: skip
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Service": "/api/v1/namespaces/{}/services",
    "LimitRange": "/api/v1/namespaces/{}/limitranges",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
    "Pod": "/api/v1/namespaces/{}/pods",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
}
_POD_FIELDS = (
    "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "schedulingGates", "priorityClassName",
    "preemptionPolicy", "runtimeClassName", "overhead", "hostNetwork", "resources", "nodeName", "os",
)  # fmt: skip
_CONTAINER_FIELDS = ("name", "image", "restartPolicy")
# Made by every API server itself.
_BUILT_IN = {
    "Namespace": ("default", "kube-node-lease", "kube-public", "kube-system"),
    "PriorityClass": ("system-cluster-critical", "system-node-critical"),
    "Service": ("kubernetes",),
}
# Quotas count other things, too, which no pod takes.
_OF_PODS = ("requests.", "limits.", "pods", "count/pods", "cpu", "memory", "ephemeral-storage")


def path(kind: str, namespace: str | None) -> str:
    """Return where the objects of a kind are."""
    return _PATHS[kind].format(namespace)


def is_built_in(item: Object) -> bool:
    """Return whether every API server has the object by itself."""
    return item["metadata"]["name"] in _BUILT_IN.get(item["kind"], ())


def reduced(item: Object) -> dict[str, Any]:
    """Return an object with what placing looks at: names, labels, and by kind what `_BODIES` says."""
    metadata = item["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "labels") if metadata.get(name)}
    body = _BODIES[item["kind"]](item)
    kept |= {"annotations": annotations} if (annotations := body.pop("annotations", None)) else {}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": kept, **body}


def pod(metadata: Object, spec: Object, provisioned: Iterable[str] = ()) -> dict[str, Any]:
    """Return the pod of a template or of a cluster, ended as soon as it is deleted.

    A claim that is only to be `provisioned` gets its volume wherever the pod goes: it is left out.
    """
    made = {name: spec[name] for name in _POD_FIELDS if spec.get(name)}
    made["terminationGracePeriodSeconds"] = 0
    for name in ("initContainers", "containers"):
        if spec.get(name):
            made[name] = [_container(each, bool(spec.get("hostNetwork"))) for each in spec[name]]
    named = (volume.get("persistentVolumeClaim") for volume in spec.get("volumes") or [])
    claims = dict.fromkeys(each["claimName"] for each in named if each)
    made["volumes"] = [
        {"name": f"claim-{index}", "persistentVolumeClaim": {"claimName": claim}}
        for index, claim in enumerate(claims) if claim not in set(provisioned)
    ]  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": dict(metadata.get("labels") or {})}, "spec": made}


def is_bound(claim: Object) -> bool:
    """Return whether a claim has its volume."""
    return bool(claim["spec"].get("volumeName")) and claim.get("status", {}).get("phase") == "Bound"


def _container(container: Object, on_host: bool) -> dict[str, Any]:
    made = {name: container[name] for name in _CONTAINER_FIELDS if container.get(name)}
    given = container.get("resources") or {}
    made["resources"] = {side: given[side] for side in ("requests", "limits") if given.get(side)}
    # An image is looked at where nodes have it already; one that is not known yet is on none.
    made["image"] = container.get("image") or "unknown"
    ports = [port for port in container.get("ports") or [] if on_host or port.get("hostPort")]
    return {**made, "ports": ports} if ports else made


def _node(item: Object) -> dict[str, Any]:
    """Return a node as it is; a simulated one that is only planned has what its annotation says."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    capacity = (item["metadata"].get("annotations") or {}).get(CAPACITY)
    planned = json.loads(capacity) if capacity else {}
    return {
        "spec": {name: spec[name] for name in ("taints", "unschedulable") if spec.get(name)},
        "status": {
            "capacity": status.get("capacity") or planned,
            "allocatable": status.get("allocatable") or planned,
            "images": status.get("images") or [],
        },
    }


def _quota(item: Object) -> dict[str, Any]:
    spec = item.get("spec") or {}
    hard = {key: str(value) for key, value in (spec.get("hard") or {}).items() if _counts_pods(key)}
    return {"spec": {"hard": hard}}


def _counts_pods(key: str) -> bool:
    return key.startswith(_OF_PODS) and key != "requests.storage"


def _fields(*names: str) -> Callable[[Object], dict[str, Any]]:
    return lambda item: {name: item[name] for name in names if name in item}


def _spec(*names: str) -> Callable[[Object], dict[str, Any]]:
    return lambda item: {"spec": {name: item["spec"][name] for name in names if item.get("spec", {}).get(name)}}


def _controller(item: Object) -> dict[str, Any]:
    """Return as much of a set as says which pods are to be spread: nothing makes pods of it."""
    labels = item["spec"]["selector"].get("matchLabels") or {}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "none", "image": "none"}]}}
    return {"spec": {"selector": {"matchLabels": labels}, "replicas": 0, "template": template}}


def _service(item: Object) -> dict[str, Any]:
    return {"spec": {"clusterIP": "None", "selector": item["spec"].get("selector") or {}}}


def _claim(item: Object) -> dict[str, Any]:
    # The scheduler takes it for bound by what the volume controller writes.
    bound = {"pv.kubernetes.io/bind-completed": "yes"} if is_bound(item) else {}
    names = ("accessModes", "resources", "storageClassName", "volumeMode", "volumeName")
    return {"annotations": bound, **_spec(*names)(item)}


def _volume(item: Object) -> dict[str, Any]:
    """Return a volume with where it can be used: of what kind it is makes no difference."""
    spec, claim = item["spec"], item["spec"].get("claimRef") or {}
    kept = {
        name: spec[name] for name in ("capacity", "accessModes", "nodeAffinity", "storageClassName") if name in spec
    }
    bound = {"claimRef": {name: claim[name] for name in ("namespace", "name")}} if claim else {}
    return {"spec": {**kept, **bound, "hostPath": {"path": "/"}}}


_BODIES: dict[str, Callable[[Object], dict[str, Any]]] = {
    "Namespace": _fields(),
    "Node": _node,
    "ResourceQuota": _quota,
    "LimitRange": _fields("spec"),
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "Service": _service,
    "ReplicaSet": _controller,
    "StatefulSet": _controller,
    "PriorityClass": _fields("value", "globalDefault", "preemptionPolicy"),
    "RuntimeClass": _fields("handler", "overhead", "scheduling"),
    "StorageClass": _fields("provisioner", "volumeBindingMode", "allowedTopologies", "reclaimPolicy"),
}  # fmt: skip
