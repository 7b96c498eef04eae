"""A cluster without a node, for which the real Karpenter makes some: simulated by kwok, with prices."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.kit.names import GPU, POOL_LABEL
from delivery.clients.control_plane import ControlPlane
from delivery.clients.kubectl import Kubectl
from infra.local.cluster import addons, karpenter
from infra.targets.needs import InstanceType
from tests.support.rendered import Rendered, rendered
from tests.support.simulated import asked, simulated_cluster
from tests.support.tools import eventually, free_port, running, tool

Object = dict[str, Any]

NAMESPACE = "default"
# Where Karpenter's provider writes what a node costs per hour.
PRICE = "eks-node-viewer/instance-price"
_PATHS = {
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "NodePool": "/apis/karpenter.sh/v1/nodepools",
    "KWOKNodeClass": "/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses",
    "Job": f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs",
    "Pod": f"/api/v1/namespaces/{NAMESPACE}/pods",
}


@dataclass(frozen=True)
class Elastic:
    """The cluster, with the log of Karpenter."""

    api: ControlPlane
    kubectl: Kubectl
    log: Path

    def create(self, *objects: Object) -> None:
        """Create objects."""
        for each in objects:
            self.api.create(_PATHS[each["kind"]], each)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, and pods at once: no kubelet waits for their end."""
        self.api.delete(f"{_PATHS[kind]}/{name}")

    def read(self, kind: str, name: str) -> Object:
        """Return an object."""
        return self.api.read(f"{_PATHS[kind]}/{name}")

    def nodes(self) -> list[Object]:
        """Return the nodes that are there."""
        items: list[Object] = self.api.read("/api/v1/nodes")["items"]
        return items


@contextmanager
def elastic_cluster(folder: Path, types: Sequence[InstanceType]) -> Iterator[Elastic]:
    """Run it as long as the context lasts; Karpenter has the rights that it has on the local node, and no others."""
    binary = tool(karpenter.NAME)
    with simulated_cluster(folder, "RBAC") as api:
        file = folder / karpenter.FILE
        file.write_text(karpenter.catalogue(types))
        probes = free_port()
        log = folder / "karpenter.log"
        place = Elastic(api, asked(api), log)
        place.create(*addons.elastic_objects())
        variables = {"HOME": str(folder), "KUBECONFIG": str(_kubeconfig(api, folder))}
        with running(karpenter.waiting(tool("kubectl")), folder / "wait.log", variables):
            eventually(lambda: all(_established(api, each) for each in karpenter.definitions()), folder / "wait.log")
        with running([binary, *karpenter.arguments(file, free_port(), probes)], log, variables):
            eventually(lambda: karpenter.ready(probes), log)
            yield place


def _kubeconfig(api: ControlPlane, folder: Path) -> Path:
    """Return a kubeconfig with which the administrator acts as Karpenter's user."""
    access = json.loads(api.kubeconfig.read_text())
    access["users"][0]["user"]["as"] = karpenter.USER
    file = folder / "karpenter.conf"
    file.write_text(json.dumps(access))
    return file


def _established(api: ControlPlane, definition: Object) -> bool:
    status = api.read(f"{_PATHS['CustomResourceDefinition']}/{definition['metadata']['name']}").get("status", {})
    return any(each["type"] == "Established" and each["status"] == "True" for each in status.get("conditions", []))


@dataclass(frozen=True)
class Stack:
    """A stack of one elastic pool on the cluster, by the real engine."""

    project: Rendered
    name: str

    def run(self, command: str, values: Mapping[str, Any], *more: str) -> str:
        """Run `up`, `destroy` or `preview` for a pool of these arguments; return what the engine says."""
        words = ["pulumi", command, "--stack", self.name, "--non-interactive", *more]
        variables = {**self.project.variables, "POOL": json.dumps({"name": self.name, **values})}
        done = subprocess.run(
            words, cwd=self.project.root, env=variables, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, values: Mapping[str, Any]) -> None:
        """Apply the pool."""
        self.run("up", values, "--yes", "--skip-preview")


def stack(cluster: Elastic, folder: Path, program: Path, name: str) -> Stack:
    """Return a stack that is called like its pool; nothing of it is there yet."""
    made = rendered(folder, program)
    project = Rendered(made.root, {**made.variables, "KUBECONFIG": str(cluster.api.kubeconfig)})
    subprocess.run(
        ["pulumi", "stack", "init", name], cwd=project.root, env=project.variables, capture_output=True, check=True
    )
    return Stack(project, name)


def gpu_pod(pool: str, gpus: int = 1) -> Object:
    """Return the spec of a pod that asks for GPUs of a pool, as training and serving do."""
    return {
        "nodeSelector": {POOL_LABEL: pool},
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": "none.invalid/none",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {GPU: str(gpus)}},
            }
        ],
    }


def job(name: str, spec: Object) -> Object:
    """Return a Job of one pod."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }


def lasting(name: str, spec: Object) -> Object:
    """Return a pod that runs until it is deleted."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
