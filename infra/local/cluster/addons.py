"""What the API server needs to know about the node's helpers: their rights, DNS, the default storage class."""

import yaml

from infra.local.cluster import karpenter
from infra.local.cluster.commands import Tools, kubectl
from infra.local.cluster.layout import HELPER_IMAGE, PROVISIONER, Layout

_PROVISIONER = "rancher.io/local-path"
_NAMESPACE = "local-path-storage"

_RULES: dict[str, list[tuple[list[str], list[str], list[str]]]] = {
    "coredns": [
        ([""], ["endpoints", "services", "pods", "namespaces"], ["list", "watch"]),
        (["discovery.k8s.io"], ["endpointslices"], ["list", "watch"]),
    ],
    "kwok": [
        ([""], ["nodes", "pods"], ["get", "list", "watch", "update", "patch", "delete"]),
        ([""], ["nodes/status", "pods/status"], ["update", "patch"]),
        (["coordination.k8s.io"], ["leases"], ["get", "list", "watch", "create", "update", "patch", "delete"]),
        (["", "events.k8s.io"], ["events"], ["create", "patch", "update"]),
    ],
    "local-path-provisioner": [
        ([""], ["nodes", "persistentvolumeclaims", "configmaps", "pods", "pods/log"], ["get", "list", "watch"]),
        ([""], ["persistentvolumes"], ["get", "list", "watch", "create", "patch", "update", "delete"]),
        ([""], ["events"], ["create", "patch"]),
        (["storage.k8s.io"], ["storageclasses"], ["get", "list", "watch"]),
    ],
}


def _metadata(name: str, namespace: str | None = None) -> dict[str, str]:
    return {"name": name, "namespace": namespace} if namespace else {"name": name}


def _role(name: str, granted: list[tuple[list[str], list[str], list[str]]]) -> list[dict[str, object]]:
    """Return what lets a helper do this; its user is called like the role."""
    rules = [{"apiGroups": groups, "resources": resources, "verbs": verbs} for groups, resources, verbs in granted]
    role = f"stellwerk:{name}"
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": _metadata(role),
            "rules": rules,
        },
        _binding(role, role, role),
    ]


def _binding(name: str, role: str, user: str, kind: str = "User") -> dict[str, object]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": user}],
    }


def _helper_pods() -> list[dict[str, object]]:
    """Return what the pods that make and remove volume folders need: a namespace where the provisioner may run them."""
    role: dict[str, object] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata("helper-pods", _NAMESPACE),
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "get", "list", "watch"]}],
    }
    binding: dict[str, object] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata("helper-pods", _NAMESPACE),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "helper-pods"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": PROVISIONER}],
    }
    scripts = {
        "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
        "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
        "helperPod.yaml": helper_pod(),
        "config.json": "{}",
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": _metadata(_NAMESPACE)},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata("helper", _NAMESPACE)},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata("local-path-config", _NAMESPACE),
            "data": scripts,
        },
        role,
        binding,
    ]


def helper_pod() -> str:
    """Return the pod that makes or removes one volume folder on the node."""
    container = {
        "name": "helper",
        "image": HELPER_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            # The volumes' folder is root's. What is in them belongs to the pods' users: removing it takes two rights.
            "runAsUser": 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {"automountServiceAccountToken": False, "containers": [container]},
    }
    return yaml.safe_dump(pod)


def _storage_class() -> dict[str, object]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "local-path",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": _PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }


def elastic_objects() -> list[dict[str, object]]:
    """Return what the autoscaler of nodes needs: its kinds, and its rights."""
    return [*karpenter.definitions(), *_role(karpenter.NAME, karpenter.RULES)]


def apply(tools: Tools, layout: Layout, *, elastic: bool = False) -> None:
    """Apply everything on the server's side, so that a second run changes nothing."""
    documents = [
        _binding("kubeadm:cluster-admins", "cluster-admin", "kubeadm:cluster-admins", "Group"),
        # kubeadm's client certificate of the API server carries no group: logs and exec need this.
        _binding("stellwerk:kubelet-api", "system:kubelet-api-admin", "kube-apiserver-kubelet-client"),
        _binding("stellwerk:kube-proxy", "system:node-proxier", "system:kube-proxy"),
        *[document for name, rules in _RULES.items() for document in _role(name, rules)],
        *_helper_pods(),
        _storage_class(),
        *(elastic_objects() if elastic else []),
    ]
    text = yaml.safe_dump_all(documents, sort_keys=False)
    kubectl(
        tools, layout, "apply", "--server-side", "--force-conflicts", "--field-manager=stellwerk", "-f", "-", stdin=text
    )
