"""The configuration file of each part."""

import json
from pathlib import Path
from typing import Any

import yaml

from infra.contract.versions import LOCAL_IMAGES
from infra.local.cluster.commands import Tools
from infra.local.cluster.layout import (
    ADDRESS,
    BRIDGE,
    BUILDS,
    KUBE_PROXY_HEALTH_PORT,
    PAUSE_IMAGE,
    POD_SUBNET,
    PROVISIONER,
    Layout,
)

# Elasticsearch and a training Job run some two hundred threads each.
PIDS_PER_POD = 1024


def _containerd(layout: Layout, tools: Tools) -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower the score and every sandbox fails.
    # stats_collect_period: by itself it asks each container every second, for a rate that nobody here reads; that was
    # a sixth of what a cluster at rest takes.
    return f"""\
version = 3
root = "{layout.data}/containerd"
state = "{layout.run}/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs"]

[grpc]
address = "{layout.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{layout.data}/containerd-opt"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "{layout.certs_d}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
stats_collect_period = "30s"
netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{tools.cni}"]
conf_dir = "{layout.config}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{tools.path("runc")}"
SystemdCgroup = false
"""


def _buildkitd(layout: Layout, tools: Tools, registry: str | None) -> str:
    trust = f'[registry."{registry}"]\nca = ["{layout.registry_ca}"]\n' if registry else ""
    return f"""\
root = "{layout.build_cache}"
[grpc]
address = ["unix://{layout.buildkit_socket}"]
[otel]
socketPath = "{layout.run}/buildkit-otel.sock"
[worker.containerd]
enabled = false
[worker.oci]
enabled = true
binary = "{tools.path("runc")}"
defaultCgroupParent = "{BUILDS}"
networkMode = "host"
snapshotter = "overlayfs"
gc = true
maxUsedSpace = "20GB"
minFreeSpace = "10GB"
{trust}"""


def _cni(layout: Layout) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "stellwerk",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.data / "cni"),
                    "ranges": [[{"subnet": POD_SUBNET}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def _kubelet(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        # Nobody asks: the API server reads the node's own lease.
        "healthzPort": 0,
        # A pod that forks for ever ends itself, not the node.
        "podPidsLimit": PIDS_PER_POD,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "podLogsDir": str(layout.pod_logs),
        "volumePluginDir": str(layout.kubelet / "volume-plugins"),
        "clusterDNS": [ADDRESS],
        "clusterDomain": "cluster.local",
        # kube-proxy works with nftables: the kubelet's iptables chains would only be left behind.
        "makeIPTablesUtilChains": False,
        "serializeImagePulls": False,
        # Once a pod has pulled the same image from elsewhere, its login would be tried on the node's own ones, too, and
        # no registry has these.
        "imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages",
        "preloadedImagesVerificationAllowlist": [f"{LOCAL_IMAGES}/*"],
        # A changed ConfigMap reaches the pods that mount it as a folder at their next turn: the gateway's routes wait.
        "syncFrequency": "10s",
        "containerLogMaxSize": "20Mi",
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "3%", "imagefs.available": "3%"},
        # Images are rebuilt, not pulled again, when collected: keep them while the disk allows.
        "imageGCHighThresholdPercent": 97,
        "imageGCLowThresholdPercent": 95,
    }


def _kube_proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": ADDRESS,
        "healthzBindAddress": f"127.0.0.1:{KUBE_PROXY_HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": POD_SUBNET,
        "nodePortAddresses": [f"{ADDRESS}/32"],
        "clientConnection": {"kubeconfig": str(layout.identities / "kube-proxy.conf")},
        # 0 leaves the machine's own connection tracking settings alone.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _corefile(layout: Layout) -> str:
    resolver = Path("/etc/resolv.conf")
    upstream = resolver.exists() and "nameserver" in resolver.read_text()
    forward = "    forward . /etc/resolv.conf\n" if upstream else ""
    return f""".:53 {{
    bind {ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {layout.identities}/coredns.conf
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
{forward}    cache 30
    loadbalance
}}
"""


def admission() -> dict[str, Any]:
    """Return Pod Security "restricted" for every namespace without a label of its own, those of Kubernetes itself too.

    The provisioner's helper pods make folders on the node as root: excepted is who makes them, not where they run, so
    that nobody else gets a pod with the node's folders in that namespace.
    """
    pod_security = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {"enforce": "restricted", "enforce-version": "latest"},
        "exemptions": {"usernames": [PROVISIONER], "runtimeClasses": [], "namespaces": []},
    }
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "PodSecurity", "configuration": pod_security}],
    }


def _local_path(layout: Layout) -> dict[str, Any]:
    paths = [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(layout.volumes)]}]
    return {"nodePathMap": paths, "setupCommand": "", "teardownCommand": ""}


def write(layout: Layout, tools: Tools, registry: str | None = None) -> None:
    """Write every file; the same state directory and address (host:port) of a registry give the same files."""
    (layout.config / "cni").mkdir(exist_ok=True)
    files = {
        "containerd.toml": _containerd(layout, tools),
        "buildkitd.toml": _buildkitd(layout, tools, registry),
        "cni/10-stellwerk.conflist": json.dumps(_cni(layout), indent=1),
        "admission.yaml": yaml.safe_dump(admission()),
        "kubelet.yaml": yaml.safe_dump(_kubelet(layout)),
        "kube-proxy.yaml": yaml.safe_dump(_kube_proxy(layout)),
        "Corefile": _corefile(layout),
        "local-path.json": json.dumps(_local_path(layout)),
    }
    for name, text in files.items():
        (layout.config / name).write_text(text)
    if registry:
        _trust(layout, registry)
    _builder(layout)


def _trust(layout: Layout, registry: str) -> None:
    """Let containerd trust the registry that a stack runs on the node."""
    hosts = layout.certs_d / registry
    hosts.mkdir(parents=True, exist_ok=True)
    (hosts / "hosts.toml").write_text(
        f'server = "https://{registry}"\n[host."https://{registry}"]\nca = ["{layout.registry_ca}"]\n'
    )


def _builder(layout: Layout) -> None:
    """Describe the node's image builder to buildx."""
    instances = layout.docker_config / "buildx" / "instances"
    instances.mkdir(parents=True, exist_ok=True)
    node = {"Name": "stellwerk0", "Endpoint": f"unix://{layout.buildkit_socket}", "Platforms": None, "Flags": None}
    (instances / "stellwerk").write_text(json.dumps({"Name": "stellwerk", "Driver": "remote", "Nodes": [node]}))
