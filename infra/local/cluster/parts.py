"""The supervised processes and their command lines."""

import shlex
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from infra.local.cluster import karpenter
from infra.local.cluster.commands import Tools
from infra.local.cluster.layout import (
    ADDRESS,
    API_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    HELPER_IMAGE,
    NODE,
    SERVICE_SUBNET,
    Layout,
)

STAGES = Path(__file__).parent / "kwok-stages.yaml"
ETCD = f"https://{ADDRESS}:{ETCD_PORT}"


@dataclass(frozen=True)
class Part:
    """One supervised process; `priority` orders the start, lowest first."""

    name: str
    command: list[str]
    priority: int
    environment: dict[str, str]


def _etcd(layout: Layout) -> list[str]:
    pki = layout.pki / "etcd"
    peer = f"https://{ADDRESS}:{ETCD_PEER_PORT}"
    return [
        f"--name={NODE}", f"--data-dir={layout.data}/etcd",
        f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster={NODE}={peer}",
        f"--cert-file={pki}/server.crt", f"--key-file={pki}/server.key", "--client-cert-auth",
        f"--trusted-ca-file={pki}/ca.crt",
        f"--peer-cert-file={pki}/peer.crt", f"--peer-key-file={pki}/peer.key", "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={pki}/ca.crt", "--snapshot-count=10000", "--auto-compaction-retention=1",
    ]  # fmt: skip


def _api_server(layout: Layout) -> list[str]:
    pki = layout.pki
    return [
        f"--advertise-address={ADDRESS}", f"--bind-address={ADDRESS}", f"--secure-port={API_PORT}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        f"--admission-control-config-file={layout.config}/admission.yaml",
        "--enable-bootstrap-token-auth=false", "--anonymous-auth=false", "--profiling=false",
        f"--service-cluster-ip-range={SERVICE_SUBNET}", "--kubelet-preferred-address-types=InternalIP",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        f"--etcd-servers={ETCD}", f"--etcd-cafile={pki}/etcd/ca.crt",
        f"--etcd-certfile={pki}/apiserver-etcd-client.crt", f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        # Otherwise its end waits a minute for the watches of the pods, which end after it.
        "--shutdown-watch-termination-grace-period=1s",
    ]  # fmt: skip


def _controller_manager(layout: Layout) -> list[str]:
    pki, config = layout.pki, layout.identities / "controller-manager.conf"
    return [
        "--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
        f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
        f"--root-ca-file={pki}/ca.crt", f"--service-account-private-key-file={pki}/sa.key",
        f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
        f"--service-cluster-ip-range={SERVICE_SUBNET}", "--profiling=false",
        # Of each controller; by itself 20 a second, as if a thousand nodes asked the API server as well.
        "--kube-api-qps=100", "--kube-api-burst=200",
    ]  # fmt: skip


def _scheduler(layout: Layout) -> list[str]:
    config = layout.identities / "scheduler.conf"
    return [
        "--bind-address=127.0.0.1", "--leader-elect=false", f"--kubeconfig={config}", "--profiling=false",
        f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
    ]  # fmt: skip


def parts(layout: Layout, tools: Tools, *, elastic: bool = False) -> list[Part]:
    """Return every process of the node, in the order of their start; `elastic`: the autoscaler of nodes, too."""
    ids, config = layout.identities, layout.config
    table: list[tuple[str, int, list[str]]] = [
        ("etcd", 1, _etcd(layout)),
        ("containerd", 1, [f"--config={config}/containerd.toml"]),
        ("kube-apiserver", 2, _api_server(layout)),
        ("buildkitd", 2, [f"--config={config}/buildkitd.toml"]),
        ("kube-controller-manager", 3, _controller_manager(layout)),
        ("kube-scheduler", 3, _scheduler(layout)),
        ("kubelet", 3, [f"--config={config}/kubelet.yaml", f"--kubeconfig={ids}/kubelet.conf",
                        f"--root-dir={layout.kubelet}", f"--cert-dir={layout.kubelet}/pki",
                        f"--hostname-override={NODE}", f"--node-ip={ADDRESS}"]),
        ("kube-proxy", 3, [f"--config={config}/kube-proxy.yaml", f"--hostname-override={NODE}"]),
        ("coredns", 3, ["-conf", f"{config}/Corefile"]),
        ("kwok", 4, [f"--kubeconfig={ids}/kwok.conf", f"--config={STAGES}", "--manage-all-nodes=false",
                     "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                     "--node-lease-duration-seconds=40", "--server-address=127.0.0.1:10247"]),
        ("local-path-provisioner", 4, ["start", f"--config={config}/local-path.json",
                                       f"--kubeconfig={ids}/local-path-provisioner.conf",
                                       "--namespace=local-path-storage", f"--helper-image={HELPER_IMAGE}",
                                       "--configmap-name=local-path-config", "--service-account-name=helper",
                                       f"--helper-pod-file={config}/helper-pod.yaml"]),
    ]  # fmt: skip
    search = f"{tools.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # kwok and others look for a configuration below the home directory: keep it inside the state directory.
    common = {"PATH": search, "HOME": str(layout.root), "TMPDIR": str(layout.temporary)}
    scaler = [_karpenter(layout, tools, common)] if elastic else []
    return [
        *(
            Part(name, [str(tools.path(name)), *arguments], order, {**common, "CONFIGURATION": _digest(arguments)})
            for name, order, arguments in table
        ),
        *scaler,
    ]


def _karpenter(layout: Layout, tools: Tools, common: dict[str, str]) -> Part:
    """Return the autoscaler: it waits for its definitions first, and reads its instance types once."""
    arguments = karpenter.arguments(layout.config / karpenter.FILE)
    waits, starts = (
        shlex.join(words)
        for words in (karpenter.waiting(tools.path("kubectl")), [str(tools.path(karpenter.NAME)), *arguments])
    )
    settings = {
        "KUBECONFIG": f"{layout.identities}/{karpenter.NAME}.conf",
        "KUBECACHEDIR": str(layout.kubectl_cache),
        "CONFIGURATION": _digest(arguments),
    }
    return Part(karpenter.NAME, ["/bin/sh", "-c", f"{waits} && exec {starts}"], 4, {**common, **settings})


def _digest(arguments: list[str]) -> str:
    """Return a digest of the configuration files that a command line names.

    supervisord restarts a part whose environment changes, not one whose files do.
    """
    named = (Path(word.rpartition("=")[2]) for word in arguments)
    files = (path for path in named if path.parent.name == "config" or path == STAGES)
    return sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()[:16]
