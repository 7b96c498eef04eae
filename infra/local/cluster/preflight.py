"""What must be true before anything starts."""

import socket

from infra.local.cluster import supervision
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import (
    ADDRESS,
    API_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    KUBE_PROXY_HEALTH_PORT,
    Layout,
)
from infra.local.toolchain import machine
from infra.targets.needs import Needs

# The node's own listeners; 10250 and 53 are what the kubelet and DNS clients take by default.
_PORTS = {
    API_PORT: "API server",
    ETCD_PORT: "etcd",
    ETCD_PEER_PORT: "etcd",
    10250: "kubelet",
    KUBE_PROXY_HEALTH_PORT: "kube-proxy",
    53: "DNS",
}


def checks(
    layout: Layout, needs: Needs, *, tools_missing: bool, host: machine.Host | None = None
) -> list[machine.Check]:
    """Return all requirements of the local cluster; one that is deployed needs less disk."""
    deployed = any((layout.backend / ".pulumi" / "stacks").glob("*/*.json"))
    return machine.checks(layout.root, {**_PORTS, **needs.ports}, tools_missing, deployed, host)


def check(
    layout: Layout,
    needs: Needs,
    *,
    tools_missing: bool = False,
    api: tuple[str, int] = (ADDRESS, API_PORT),
    host: machine.Host | None = None,
) -> None:
    """Raise ClusterError naming everything that prevents a start; `api` is where a node's API server listens."""
    unmet = [one for one in checks(layout, needs, tools_missing=tools_missing, host=host) if not one.ok]
    problems = [f"{one.name}: {one.detail}; {one.fix}" for one in unmet]
    if not supervision.states(layout) and _another_cluster(*api):
        problems.append(
            f"another local cluster runs on this machine ({api[0]}:{api[1]} answers); "
            "stop it with `stellwerk cluster down` where it was started (STELLWERK_STATE names its state directory)"
        )
    if len(str(layout.supervisor_socket)) > 100:
        problems.append(f"{layout.root}: too long for Unix sockets; choose a shorter STELLWERK_STATE")
    if problems:
        raise ClusterError("the local cluster cannot start:\n" + "\n".join(f"- {problem}" for problem in problems))


def _another_cluster(address: str, port: int) -> bool:
    """Return whether the node's address is on this machine and an API server listens there."""
    with socket.socket() as probe:
        try:
            # Elsewhere the address is routed away, and who answers there is nobody's cluster.
            probe.bind((address, 0))
            probe.settimeout(1)
            probe.connect((address, port))
        except OSError:
            return False
    return True
