"""What the machine must have, checked before anything starts."""

import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.paths import cache
from infra.local.toolchain.probing import find

GIB = 1 << 30
MEMORY_GIB = 8
# Measured: Go's module and build caches and the tools take 19 GiB, what image builds have made 11; registry and the
# node's image store 15, most of it the training image with torch.
TOOLS_GIB = 19
BUILDS_GIB = 11
IMAGES_GIB = 15


@dataclass(frozen=True)
class Host:
    """What is known of a machine: its platform, who runs the command, the kernel's symbols, and how a tool is found."""

    system: str = field(default_factory=platform.system)
    architecture: str = field(default_factory=platform.machine)
    user: int = field(default_factory=os.geteuid)
    kernel_symbols: Path = Path("/proc/kallsyms")
    find: Callable[[str, list[str]], Path | None] = find


@dataclass(frozen=True)
class Check:
    """One requirement: `detail` is what was found, `fix` what to do when it is not `ok`."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def checks(
    state: Path, ports: Mapping[int, str], tools_missing: bool, deployed: bool, host: Host | None = None
) -> list[Check]:
    """Return all requirements of the local cluster, whose data lives in `state` and whose listeners are `ports`."""
    host = host or Host()
    return [
        supported_platform(host),
        _root(host),
        _memory(),
        *disk(
            {
                cache(): (TOOLS_GIB if tools_missing else 1) + (0 if deployed else BUILDS_GIB),
                state: 2 if deployed else IMAGES_GIB,
            }
        ),
        _overlayfs(host),
        _nf_tables(host),
        *_ports(ports),
    ]


def require_platform(host: Host | None = None) -> None:
    """Raise ToolchainError where no tool of the manifest runs."""
    check = supported_platform(host or Host())
    if not check.ok:
        raise ToolchainError(f"{check.detail}: {check.fix}")


def require_space_for_builds(gib: int = TOOLS_GIB) -> None:
    """Raise ToolchainError when the disk is too full for the Go builds; what Go has cached already counts."""
    cached = _size(_go_cache())
    needed = max(2, gib - cached // GIB)
    lacking = [check for check in disk({cache(): needed}) if not check.ok]
    if lacking:
        raise ToolchainError(f"{lacking[0].name}: {lacking[0].detail}; {lacking[0].fix}")


def supported_platform(host: Host) -> Check:
    """Return whether the tools of the manifest run here."""
    ok = host.system == "Linux" and host.architecture in ("x86_64", "amd64")
    return Check(
        "platform",
        ok,
        f"{host.system} {host.architecture}",
        "the local cluster needs Linux on amd64; use a cluster of yours instead",
    )


def disk(needs: Mapping[Path, int]) -> list[Check]:
    """Return a check of the free space (GiB) for each file system; folders on one file system add up."""
    systems: dict[int, list[tuple[Path, int]]] = {}
    for folder, gib in needs.items():
        existing = next(path for path in [folder, *folder.parents] if path.exists())
        systems.setdefault(existing.stat().st_dev, []).append((existing, gib))
    result = []
    for entries in systems.values():
        needed = sum(gib for _, gib in entries)
        free = shutil.disk_usage(entries[0][0]).free / GIB
        places = " and ".join(dict.fromkeys(str(path) for path, _ in entries))
        fix = f"free some, or set XDG_CACHE_HOME (tools) and STELLWERK_STATE (cluster) to a disk with {needed} GiB"
        result.append(Check("disk", free >= needed, f"{free:.0f} GiB free at {places}, {needed} needed", fix))
    return result


def _root(host: Host) -> Check:
    ok = host.user == 0
    return Check("root", ok, "yes" if ok else f"user id {host.user}", "containers and networking need root: use sudo")


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    # A machine sold as 8 GiB shows somewhat less: the kernel keeps a part.
    return Check("memory", total >= MEMORY_GIB * 0.95, f"{total:.1f} GiB", f"{MEMORY_GIB} GiB are needed")


def _overlayfs(host: Host) -> Check:
    ok = "\toverlay\n" in Path("/proc/filesystems").read_text() or _loadable(host, "overlay")
    return Check("overlayfs", ok, "yes" if ok else "no", "load the kernel module overlay (`modprobe overlay`)")


def _nf_tables(host: Host) -> Check:
    nft = host.find("nft", [])
    if nft and host.user == 0:
        ok = subprocess.run([nft, "list", "tables"], capture_output=True, check=False).returncode == 0
    else:
        ok = _in_kernel(host, "nft_register_expr") or _loadable(host, "nf_tables")
    return Check("nf_tables", ok, "yes" if ok else "no", "load the kernel module nf_tables (`modprobe nf_tables`)")


def _in_kernel(host: Host, symbol: str) -> bool:
    """Return whether the kernel exports `symbol`, loaded or built in: /sys/module lists only those with parameters."""
    try:
        with host.kernel_symbols.open() as lines:
            return any(line.split()[2] == symbol for line in lines)
    except OSError:
        return False


def _loadable(host: Host, module: str) -> bool:
    modprobe = host.find("modprobe", [])
    return modprobe is not None and (
        subprocess.run([modprobe, "--dry-run", module], capture_output=True, check=False).returncode == 0
    )


def _ports(ports: Mapping[int, str]) -> list[Check]:
    taken = [port for port in ports if not port_free(port)]
    if not taken:
        return [Check("ports", True, f"{len(ports)} free")]
    fix = "stop the process that listens on it; `ss -ltnp 'sport = :{}'` names it"
    return [Check(f"port {port}", False, f"taken, wanted for {ports[port]}", fix.format(port)) for port in taken]


def port_free(port: int) -> bool:
    """Return False when another process listens on `port` on all addresses, which would shadow the cluster's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # On every Linux machine, and used by nobody: taken only when someone listens on all addresses.
            probe.bind(("127.0.0.2", port))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def _go_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("GOCACHE") or f"{base}/go-build").expanduser()


def _size(folder: Path) -> int:
    def sizes(at: Path) -> Iterable[int]:
        with os.scandir(at) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from sizes(Path(entry.path))
                else:
                    yield entry.stat(follow_symlinks=False).st_size

    return sum(sizes(folder)) if folder.is_dir() else 0
