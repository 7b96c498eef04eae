"""A cluster whose nodes are all simulated: real API server, scheduler, controllers and kwok, and no machine behind."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.clients.control_plane import ControlPlane, control_plane
from delivery.clients.kubectl import Kubectl
from infra.local.cluster.parts import STAGES
from infra.local.toolchain.paths import bin_folder
from tests.support.placements import objects
from tests.support.tools import running, tool

Object = dict[str, Any]

_LISTS = {
    "replicasets.apps": "/apis/apps/v1/replicasets",
    "statefulsets.apps": "/apis/apps/v1/statefulsets",
    "daemonsets.apps": "/apis/apps/v1/daemonsets",
    "deployments.apps": "/apis/apps/v1/deployments",
    "priorityclasses": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "runtimeclasses": "/apis/node.k8s.io/v1/runtimeclasses",
    "storageclasses": "/apis/storage.k8s.io/v1/storageclasses",
}
_CONTROLLERS = (
    "deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller",
    "resourcequota-controller", "garbage-collector-controller", "namespace-controller", "job-controller",
)  # fmt: skip


@dataclass(frozen=True)
class Listed(Kubectl):
    """A cluster that is read on its own API server."""

    plane: ControlPlane | None = None

    def objects(self, *arguments: str) -> list[Object]:
        assert self.plane is not None
        plane, kinds = self.plane, tuple(arguments[1].split(","))
        return list(objects(kinds, lambda kind: plane.read(_LISTS.get(kind, f"/api/v1/{kind}"))))


def variables() -> dict[str, str]:
    """Return the variables of the toolchain; skip the test where it is not built."""
    for name in ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok"):
        tool(name)
    return {"PATH": f"{bin_folder()}{os.pathsep}/usr/bin:/bin"}


@contextmanager
def simulated_cluster(folder: Path) -> Iterator[ControlPlane]:
    """Run a cluster as long as the context lasts."""
    with ExitStack() as cleanup:
        plane = cleanup.enter_context(control_plane(variables(), folder))
        manager = ["--leader-elect=false", "--secure-port=0", f"--controllers={','.join(_CONTROLLERS)}"]
        manager += ["--kube-api-qps=400", "--kube-api-burst=800"]
        kwok = [f"--config={STAGES}", "--manage-all-nodes=false", "--node-lease-duration-seconds=40"]
        kwok += ["--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"]
        for name, arguments in (("kube-controller-manager", manager), ("kwok", kwok)):
            command = [tool(name), f"--kubeconfig={plane.kubeconfig}", *arguments]
            cleanup.enter_context(running(command, folder / f"{name}.log", {"HOME": str(folder)}))
        yield plane


def listed(plane: ControlPlane) -> Kubectl:
    """Return the cluster as the command asks it."""
    return Listed("x", "x", {}, None, plane)
