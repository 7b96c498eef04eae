"""Where everything of the local cluster lives: one state directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from infra.contract.versions import LOCAL_IMAGES, platform_image
from infra.local.toolchain.paths import LINK, cache

NODE = "stellwerk"
# RFC 2544 benchmarking range: never routed, so it cannot collide with a real network.
ADDRESS = "198.18.0.1"
POD_SUBNET = "10.244.0.0/24"
SERVICE_SUBNET = "10.96.0.0/16"
API_PORT = 6443
ETCD_PORT, ETCD_PEER_PORT = 2379, 2380
KUBE_PROXY_HEALTH_PORT = 10256
BRIDGE = "stellwerk0"
# The control group of image builds.
BUILDS = "stellwerk-builds"
TABLE = "stellwerk"
PAUSE_IMAGE = f"{LOCAL_IMAGES}/pause:1"
HELPER_IMAGE = platform_image("busybox")
# Who makes the volumes' folders: the user of its certificate.
PROVISIONER = "stellwerk:local-path-provisioner"


@dataclass(frozen=True)
class Layout:
    """Paths inside the state directory, the checkout's link to the toolchain, the builds' cache, the kernel's settings.

    What image builds have made outlives a cluster, like the tools: the next one's builds take it from there.
    """

    root: Path
    tools: Path = LINK
    kernel: Path = Path("/proc/sys")
    build_cache: Path = field(default_factory=lambda: cache() / "buildkit")

    @cached_property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @cached_property
    def pki(self) -> Path:
        return self.root / "pki"

    @cached_property
    def identities(self) -> Path:
        return self.root / "identities"

    @cached_property
    def config(self) -> Path:
        return self.root / "config"

    @cached_property
    def run(self) -> Path:
        return self.root / "run"

    @cached_property
    def temporary(self) -> Path:
        """Return TMPDIR of the node's processes: BuildKit leaves mount points there when it is killed."""
        return self.run / "tmp"

    @cached_property
    def logs(self) -> Path:
        return self.root / "logs"

    @cached_property
    def data(self) -> Path:
        return self.root / "data"

    @cached_property
    def kubelet(self) -> Path:
        return self.data / "kubelet"

    @cached_property
    def pod_logs(self) -> Path:
        return self.data / "pod-logs"

    @cached_property
    def volumes(self) -> Path:
        return self.data / "volumes"

    @cached_property
    def certs_d(self) -> Path:
        """Return the folder of containerd's per-registry trust (`hosts.toml`)."""
        return self.config / "certs.d"

    @cached_property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @cached_property
    def buildkit_socket(self) -> Path:
        return self.run / "buildkitd.sock"

    @cached_property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @cached_property
    def registry_ca(self) -> Path:
        """Return the file of the CA of the embedded image registry, trusted by containerd and BuildKit."""
        return self.config / "registry-ca.crt"

    @cached_property
    def kubectl_cache(self) -> Path:
        """Return the folder of what kubectl has read of the API's own description."""
        return self.root / "kubectl-cache"

    @cached_property
    def docker_config(self) -> Path:
        """Return DOCKER_CONFIG, with the buildx instance that points at BuildKit."""
        return self.root / "docker"

    @cached_property
    def build_secrets(self) -> Path:
        return self.root / "build-secrets"

    @cached_property
    def pulumi_home(self) -> Path:
        return self.root / "pulumi"

    @cached_property
    def backend(self) -> Path:
        return self.root / "state"

    @cached_property
    def passphrase(self) -> Path:
        return self.root / "passphrase"

    def make(self) -> None:
        """Create the folders; the state directory itself is readable by its owner only."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (
            self.pki, self.identities, self.config, self.run, self.temporary, self.logs, self.data, self.kubelet,
            self.pod_logs, self.volumes, self.certs_d, self.docker_config, self.build_secrets, self.pulumi_home,
            self.backend,
        ):  # fmt: skip
            folder.mkdir(parents=True, exist_ok=True)


def state_directory(given: Mapping[str, str] = os.environ) -> Path:
    """Return `STELLWERK_STATE`, else `$XDG_STATE_HOME/stellwerk`, else `~/.local/state/stellwerk`."""
    state = given.get("STELLWERK_STATE")
    if state:
        return Path(state).expanduser().absolute()
    base = given.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "stellwerk"


def layout(given: Mapping[str, str] = os.environ) -> Layout:
    """Return the layout of the state directory that `given` names."""
    return Layout(state_directory(given))
