"""What a machine looks like from outside: what a cluster could leave behind."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_FOLDERS = (
    "/run/containerd",
    "/var/lib/cni",
    "/run/cni",
    "/etc/cni",
    "/var/lib/kubelet",
    "/var/log/pods",
    "/var/log/containers",
    str(Path.home() / ".kube"),
    str(Path.home() / ".pulumi"),
    str(Path.home() / ".docker"),
)
_TEMPORARY = ("buildkit*", "buildx*", "containerd*", "kube*", "kwok*", "etcd*", "pulumi*", "Pulumi.*", "stellwerk*")
_GROUPS = ("kubepods", "stellwerk-builds")
_SETTINGS = ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables")
_PARTS = (
    "etcd", "kube-apiserver", "kube-controller", "kube-scheduler", "kubelet", "kube-proxy", "containerd",
    "buildkitd", "coredns", "kwok", "local-path-prov", "supervisord", "traefik", "versitygw", "registry", "otelcol",
    "mlflow", "postgres", "pulumi", "catatonit", "pause", "manager",
)  # fmt: skip


@dataclass(frozen=True)
class Traces:
    """Processes by command, mounts, interfaces, addresses, rules, settings, groups, folders, temporary files."""

    processes: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]
    addresses: frozenset[str]
    tables: frozenset[str]
    namespaces: frozenset[str]
    settings: frozenset[str]
    groups: frozenset[str]
    folders: frozenset[str]
    temporary: frozenset[str]

    def to_json(self) -> str:
        """Return the traces as text."""
        return json.dumps({kind: sorted(names) for kind, names in vars(self).items()})

    @classmethod
    def from_json(cls, text: str) -> "Traces":
        """Return the traces of a text."""
        return cls(**{kind: frozenset(names) for kind, names in json.loads(text).items()})

    def left(self, before: "Traces") -> dict[str, list[str]]:
        """Return what exists now and did not before, by kind."""
        now, then = vars(self), vars(before)
        return {kind: sorted(now[kind] - then[kind]) for kind in now if now[kind] - then[kind]}


def take() -> Traces:
    """Return the traces on the machine as it is."""
    links = json.loads(_output("ip", "-json", "address"))
    return Traces(
        processes=frozenset(_processes()),
        mounts=frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        interfaces=frozenset(link["ifname"] for link in links),
        addresses=frozenset(entry["local"] for link in links for entry in link.get("addr_info", [])),
        tables=frozenset(_output("nft", "list", "tables").splitlines()),
        namespaces=frozenset(_output("ip", "netns", "list").splitlines()),
        settings=frozenset(
            f"{name}={path.read_text().strip()}" for name in _SETTINGS if (path := Path("/proc/sys", name)).exists()
        ),
        groups=frozenset(str(path) for name in _GROUPS for path in Path("/sys/fs/cgroup").glob(f"**/{name}*")),
        folders=frozenset(name for name in _FOLDERS if Path(name).exists()),
        temporary=frozenset(str(path) for name in _TEMPORARY for path in Path(tempfile.gettempdir()).glob(name)),
    )


def _output(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    return done.stdout or "[]" if command[0] == "ip" and "-json" in command else done.stdout


def _processes() -> set[str]:
    """Return the processes a cluster runs, as `pid command`; those of the machine itself stay out by comparison."""
    processes = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name = (entry / "comm").read_text().strip()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and name.startswith(_PARTS):
            processes.add(f"{entry.name} {name}")
    return processes
