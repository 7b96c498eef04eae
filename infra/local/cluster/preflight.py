"""What must be true before anything starts."""

import socket

from infra.local.cluster import supervision
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import ADDRESS, Layout
from infra.local.toolchain import machine

API_PORT = 6443
# port: who listens there
PORTS = {
    API_PORT: "API server", 2379: "etcd", 2380: "etcd", 10250: "kubelet", 10256: "kube-proxy", 53: "DNS",
    30443: "dev gateway", 30444: "test gateway", 30445: "prod gateway", 30500: "image registry",
    30900: "dev object store", 30901: "test object store", 30902: "prod object store", 30920: "log store",
}  # fmt: skip


def checks(layout: Layout, *, tools_missing: bool) -> list[machine.Check]:
    """All requirements of the local cluster; one that is deployed needs less disk."""
    deployed = (layout.backend / ".pulumi" / "stacks" / "stellwerk" / "dev.json").exists()
    return machine.checks(layout.root, PORTS, tools_missing, deployed)


def check(layout: Layout, *, tools_missing: bool = False) -> None:
    """Raises ClusterError naming everything that is in the way, at once."""
    found = checks(layout, tools_missing=tools_missing)
    problems = [f"{one.name}: {one.detail}; {one.fix}" for one in found if not one.ok]
    if not supervision.states(layout) and _another_cluster():
        problems.append(
            f"another local cluster runs on this machine ({ADDRESS}:{API_PORT} answers); "
            "stop it with `stellwerk cluster down` where it was started (STELLWERK_STATE names its state directory)"
        )
    if len(str(layout.supervisor_socket)) > 100:
        problems.append(f"{layout.root}: too long for Unix sockets; choose a shorter STELLWERK_STATE")
    if problems:
        raise ClusterError("the local cluster can't start:\n" + "\n".join(f"- {problem}" for problem in problems))


def _another_cluster() -> bool:
    """Whether the node's address is on this machine and an API server listens there."""
    with socket.socket() as probe:
        try:
            # Elsewhere the address is routed away, and who answers there is nobody's cluster.
            probe.bind((ADDRESS, 0))
            probe.settimeout(1)
            probe.connect((ADDRESS, API_PORT))
        except OSError:
            return False
    return True
