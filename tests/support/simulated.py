"""A cluster whose nodes are all simulated: real API server, scheduler, controllers and kwok, and no machine behind."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from delivery.clients.control_plane import ControlPlane, control_plane
from delivery.clients.kubectl import Kubectl
from infra.local.cluster.parts import STAGES
from infra.local.toolchain.paths import bin_folder
from tests.support.tools import running, tool

_CONTROLLERS = (
    "deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller",
    "resourcequota-controller", "garbage-collector-controller", "namespace-controller", "job-controller",
    "disruption-controller", "horizontal-pod-autoscaler-controller", "resourceclaim-controller",
    "endpointslice-controller", "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller",
)  # fmt: skip


def variables() -> dict[str, str]:
    """Return the variables of the toolchain; skip the test where it is not built."""
    for name in ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kubectl", "kwok"):
        tool(name)
    return {"PATH": f"{bin_folder()}{os.pathsep}/usr/bin:/bin"}


@contextmanager
def simulated_cluster(folder: Path, authorization: str = "AlwaysAllow") -> Iterator[ControlPlane]:
    """Run a cluster as long as the context lasts."""
    with ExitStack() as cleanup:
        plane = cleanup.enter_context(control_plane(variables(), folder, authorization))
        manager = ["--leader-elect=false", "--secure-port=0", f"--controllers={','.join(_CONTROLLERS)}"]
        manager += ["--kube-api-qps=400", "--kube-api-burst=800"]
        kwok = [f"--config={STAGES}", "--manage-all-nodes=false", "--node-lease-duration-seconds=40"]
        kwok += ["--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"]
        for name, arguments in (("kube-controller-manager", manager), ("kwok", kwok)):
            command: list[str | Path] = [tool(name), f"--kubeconfig={plane.kubeconfig}", *arguments]
            cleanup.enter_context(running(command, folder / f"{name}.log", {"HOME": str(folder)}))
        yield plane


def asked(plane: ControlPlane) -> Kubectl:
    """Return the cluster as the command asks it."""
    access = {"KUBECONFIG": str(plane.kubeconfig), "KUBECACHEDIR": str(plane.kubeconfig.parent / "cache")}
    return Kubectl("x", "placement", {**variables(), **access})
