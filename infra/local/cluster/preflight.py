"""What must be true before anything starts."""

import os
import socket

from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout

# port: who listens there
PORTS = {
    6443: "API server", 2379: "etcd", 2380: "etcd", 10250: "kubelet", 10256: "kube-proxy", 53: "DNS",
    30443: "dev gateway", 30444: "test gateway", 30445: "prod gateway", 30500: "image registry",
    30900: "dev object store", 30901: "test object store", 30902: "prod object store", 30920: "log store",
}  # fmt: skip


def check(layout: Layout) -> None:
    """Raises ClusterError naming everything that is in the way, at once."""
    problems = []
    if os.geteuid() != 0:
        problems.append("root is needed for containers and networking: run it with sudo, or use another cluster")
    problems += _taken_ports()
    if len(str(layout.supervisor_socket)) > 100:
        problems.append(f"{layout.root}: too long for Unix sockets; choose a shorter STELLWERK_STATE")
    if problems:
        raise ClusterError("the local cluster can't start:\n" + "\n".join(f"- {problem}" for problem in problems))


def _taken_ports() -> list[str]:
    """Listeners on all addresses would shadow ours; listeners on other addresses do not matter."""
    problems = []
    for port, part in PORTS.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                # 127.0.0.2 is on every Linux machine: taken only when someone listens on all addresses.
                probe.bind(("127.0.0.2", port))
            except PermissionError:
                continue
            except OSError:
                problems.append(f"port {port} ({part}) is taken by another process; see `ss -ltnp 'sport = :{port}'`")
    return problems
