"""Taking the node away: pods, mounts, namespaces, cgroups, folders outside the state directory."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from infra.local.cluster.commands import Tools, run
from infra.local.cluster.layout import Layout

_CGROUPS = Path("/sys/fs/cgroup")
# containerd, the CNI plugins and the kubelet keep these outside any configurable folder.
_OUTSIDE = (Path("/run/containerd"), Path("/var/lib/cni"), Path("/run/cni"), Path("/var/lib/kubelet/device-plugins"))


def kill_pods(tools: Tools, layout: Layout) -> None:
    """Kill every container of the node through containerd, which must still run."""
    ctr: list[str | Path] = [tools.path("ctr"), "--address", layout.containerd_socket, "--namespace", "k8s.io"]
    tasks = run([*ctr, "tasks", "ls", "-q"], check=False, timeout=30).split()
    for task in tasks:
        run([*ctr, "tasks", "kill", "--signal", "SIGKILL", task], check=False, timeout=30)
    deadline = time.monotonic() + 20
    while tasks and time.monotonic() < deadline:
        listing = run([*ctr, "tasks", "ls"], check=False, timeout=30).splitlines()[1:]
        if not any("RUNNING" in line for line in listing):
            break
        time.sleep(0.3)
    for task in tasks:
        run([*ctr, "tasks", "delete", "--force", task], check=False, timeout=30)


def kill_leftovers(layout: Layout) -> None:
    """End processes that still run from this state directory: shims, and what a lost supervisor left."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        left = _processes(layout)
        for pid in left:
            _signal(pid, sent)
        deadline = time.monotonic() + (5 if sent is signal.SIGTERM else 2)
        while _processes(layout) and time.monotonic() < deadline:
            time.sleep(0.1)


def _processes(layout: Layout) -> list[int]:
    marker, ancestors = f"{layout.root}/".encode(), _ancestors()
    pids = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in ancestors:
            continue
        try:
            command, group = (entry / "cmdline").read_bytes(), (entry / "cgroup").read_text()
        except OSError:
            continue
        program = command.split(b"\0")[0].rsplit(b"/", 1)[-1]
        part = marker in command and program not in (b"sh", b"bash", b"python", b"python3", b"tail", b"pulumi")
        if part or ("supervisor" in command.decode(errors="replace") and marker in command) or _in_pod(group, layout):
            pids.append(int(entry.name))
    return pids


def _in_pod(cgroup: str, layout: Layout) -> bool:
    # Another kubelet's pods live in a cgroup of the same name: only when this state directory ran one.
    return "/kubepods" in cgroup and (layout.kubelet / "pods").exists() and not _foreign_kubelet(layout)


def _foreign_kubelet(layout: Layout) -> bool:
    done = subprocess.run(["pgrep", "-a", "kubelet"], capture_output=True, text=True, check=False)
    return any(str(layout.root) not in line for line in done.stdout.splitlines())


def _ancestors() -> set[int]:
    pid, chain = os.getpid(), set()
    while pid > 1:
        chain.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return chain


def _signal(pid: int, sent: signal.Signals) -> None:
    try:
        os.kill(pid, sent)
    except ProcessLookupError:
        return


def unmount(layout: Layout) -> None:
    """Unmount everything below the state directory and the runtime folders, deepest first."""
    prefixes = tuple(f"{path}/" for path in (layout.root, *_outside()))
    for _ in range(3):
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        ours = sorted((mount for mount in mounts if mount.startswith(prefixes)), key=len, reverse=True)
        if not ours:
            return
        for mount in ours:
            subprocess.run(["umount", "-l", mount], capture_output=True, check=False)


def remove_cgroups() -> None:
    """Remove the pods' cgroups, deepest first; only empty ones can go."""
    if subprocess.run(["pgrep", "kubelet"], capture_output=True, check=False).returncode == 0:
        return
    for hierarchy in [_CGROUPS, *(path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())]:
        for top in ("kubepods", "k8s.io"):
            tree = hierarchy / top
            if tree.is_dir():
                for folder, _, _ in os.walk(tree, topdown=False):
                    _rmdir(Path(folder))


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def remove_outside() -> None:
    """Remove the runtime's own folders."""
    folders = _outside()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    if folders:
        _rmdir(Path("/var/lib/kubelet"))


def _outside() -> tuple[Path, ...]:
    """Return the runtime's own folders; none while another containerd uses them. Ours has ended."""
    running = subprocess.run(["pgrep", "-x", "containerd"], capture_output=True, check=False).returncode == 0
    return () if running else _OUTSIDE
