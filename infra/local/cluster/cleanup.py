"""Taking the node away: pods, mounts, namespaces, cgroups, folders outside the state directory."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from infra.local.cluster.commands import Tools, run
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import BUILDS, Layout

_CGROUPS = Path("/sys/fs/cgroup")
# Where runc, started by BuildKit, notes the containers of build steps, whoever's they are.
_RUNC = Path("/run/runc")
# Of the removal of a folder that others still write to.
_ATTEMPTS = 10
# containerd, the CNI plugins and the kubelet keep these outside any configurable folder.
_OUTSIDE = (Path("/run/containerd"), Path("/var/lib/cni"), Path("/run/cni"), Path("/var/lib/kubelet/device-plugins"))
# The kubelet links every container's log there.
_LOG_LINKS = Path("/var/log/containers")


def kill_pods(tools: Tools, layout: Layout) -> None:
    """Kill every container of the node through containerd, which must still run."""
    ctr: list[str | Path] = [tools.path("ctr"), "--address", layout.containerd_socket, "--namespace", "k8s.io"]
    tasks = run([*ctr, "tasks", "ls", "-q"], check=False, timeout=30).split()
    if tasks:
        run([*ctr, "tasks", "delete", "--force", *tasks], check=False, timeout=60)


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
    marker, ancestors, foreign = f"{layout.root}/".encode(), _ancestors(), _foreign_kubelet(layout)
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
        part = part or (b"supervisor" in command and marker in command)
        if part or (not foreign and (_in_pod(group, layout) or _in_build(group, command, layout))):
            pids.append(int(entry.name))
    return pids


def _in_pod(cgroup: str, layout: Layout) -> bool:
    # Another kubelet's pods live in a cgroup of the same name: only when this state directory ran one.
    return "/kubepods" in cgroup and (layout.kubelet / "pods").exists()


def _in_build(cgroup: str, command: bytes, layout: Layout) -> bool:
    """Return whether a process is a step of an image build, or the runtime that started it."""
    starts = b"runc" in command.split(b"\0")[0] and f"{layout.build_cache}/".encode() in command
    return starts or f"/{BUILDS}/" in cgroup


def _foreign_kubelet(layout: Layout) -> bool:
    return any(f"{layout.root}/".encode() not in command for command in _running("kubelet"))


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
    """Unmount everything below the state directory, the runtime folders and the builds' cache, deepest first."""
    shared = () if _running("containerd") else (*_OUTSIDE, layout.build_cache)
    prefixes = tuple(f"{path}/" for path in (layout.root, *shared))
    for _ in range(3):
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        ours = sorted((mount for mount in mounts if mount.startswith(prefixes)), key=len, reverse=True)
        if not ours:
            return
        for mount in ours:
            subprocess.run(["umount", "-l", mount], capture_output=True, check=False)


def remove_cgroups() -> None:
    """Remove the pods' cgroups, deepest first; only empty ones can go."""
    if _running("kubelet"):
        return
    for hierarchy in [_CGROUPS, *(path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())]:
        for top in ("kubepods", "k8s.io", BUILDS):
            tree = hierarchy / top
            if tree.is_dir():
                for folder, _, _ in os.walk(tree, topdown=False):
                    _rmdir(Path(folder))


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def remove_outside(layout: Layout) -> None:
    """Remove the runtimes' own folders, unless another cluster's use them: this one's have ended."""
    if _running("containerd"):
        return
    for folder in (*_OUTSIDE, *_builds(layout)):
        shutil.rmtree(folder, ignore_errors=True)
    _rmdir(Path("/var/lib/kubelet"))


def remove_log_links(layout: Layout) -> None:
    """Remove the kubelet's links to logs below the state directory, and their folder if it holds nothing else."""
    if not _LOG_LINKS.is_dir():
        return
    for link in _LOG_LINKS.iterdir():
        if link.is_symlink() and link.readlink().is_relative_to(layout.root):
            link.unlink(missing_ok=True)
    if not _running("kubelet"):
        _rmdir(_LOG_LINKS)


def remove_data(
    root: Path,
    remove: Callable[[Path], None] = shutil.rmtree,
    wait: Callable[[], None] = lambda: time.sleep(0.5),
) -> None:
    """Remove the state directory; another command that still writes into it gets some seconds to end.

    Raise ClusterError when it does not.
    """
    for _ in range(_ATTEMPTS):
        try:
            remove(root)
        except OSError as error:
            # What the other command has written meanwhile, or has removed itself.
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
        if not root.exists():
            return
        wait()
    raise ClusterError(
        f"{root}: it cannot be removed, because something still writes there, most likely another stellwerk or pulumi "
        "command; all else of the cluster is gone; end that command, and run `stellwerk cluster down` again"
    )


def _builds(layout: Layout) -> list[Path]:
    """Return what runc knows of build steps that were killed."""
    folders = []
    for state in _RUNC.glob("*/state.json"):
        with contextlib.suppress(OSError):
            if f'"{layout.build_cache}/' in state.read_text():
                folders.append(state.parent)
    return folders


def _running(name: str) -> list[bytes]:
    """Return the command lines of the processes of a name; one that is dead and not yet waited for has none."""
    done = subprocess.run(["pgrep", "-x", name], capture_output=True, text=True, check=False)
    commands = []
    for pid in done.stdout.split():
        with contextlib.suppress(OSError):
            commands.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return [command for command in commands if command]
