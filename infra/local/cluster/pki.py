"""Certificates and kubeconfigs, by kubeadm's phases."""

import yaml

from infra.local.cluster import karpenter
from infra.local.cluster.commands import Tools, run
from infra.local.cluster.layout import ADDRESS, API_PORT, NODE, POD_SUBNET, PROVISIONER, SERVICE_SUBNET, Layout
from infra.targets.variables import LOCAL_CONTEXT

# Host processes beside the control plane's own, each with its own identity.
IDENTITIES = {
    "kube-proxy": "system:kube-proxy",
    "coredns": "stellwerk:coredns",
    "kwok": "stellwerk:kwok",
    "local-path-provisioner": PROVISIONER,
}
_ELASTIC = {karpenter.NAME: karpenter.USER}

CONTEXT = LOCAL_CONTEXT


def _kubeadm_config(layout: Layout, version: str) -> str:
    documents = [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": ADDRESS, "bindPort": API_PORT},
            "nodeRegistration": {"name": NODE, "criSocket": f"unix://{layout.containerd_socket}"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "clusterName": LOCAL_CONTEXT,
            "kubernetesVersion": version,
            "certificatesDir": str(layout.pki),
            "networking": {"podSubnet": POD_SUBNET, "serviceSubnet": SERVICE_SUBNET, "dnsDomain": "cluster.local"},
            "apiServer": {"certSANs": [ADDRESS, "localhost", NODE]},
            "etcd": {
                "local": {
                    "dataDir": str(layout.data / "etcd"),
                    "serverCertSANs": [ADDRESS],
                    "peerCertSANs": [ADDRESS],
                }
            },
        },
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)


def create(tools: Tools, layout: Layout, version: str, *, elastic: bool = False) -> None:
    """Write the whole PKI and a kubeconfig per identity, of the autoscaler's (`elastic`) too; keep what exists."""
    config = layout.config / "kubeadm.yaml"
    config.write_text(_kubeadm_config(layout, version))
    kubeadm = tools.path("kubeadm")
    run([kubeadm, "init", "phase", "certs", "all", "--config", config])
    if not (layout.identities / "admin.conf").exists():
        run([kubeadm, "init", "phase", "kubeconfig", "all", "--config", config, "--kubeconfig-dir", layout.identities])
    for name, user in (IDENTITIES | (_ELASTIC if elastic else {})).items():
        target = layout.identities / f"{name}.conf"
        if not target.exists():
            text = run([kubeadm, "kubeconfig", "user", "--config", config, "--client-name", user])
            target.touch(mode=0o600)
            target.write_text(text)
    _write_kubeconfig(layout)


def _write_kubeconfig(layout: Layout) -> None:
    """Write the user's kubeconfig: the administrator's, with the context named `stellwerk`."""
    document = yaml.safe_load((layout.identities / "super-admin.conf").read_text())
    document["contexts"][0]["name"] = LOCAL_CONTEXT
    document["current-context"] = LOCAL_CONTEXT
    layout.kubeconfig.touch(mode=0o600)
    layout.kubeconfig.write_text(yaml.safe_dump(document, sort_keys=False))
