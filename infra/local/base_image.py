"""The local base of all workload images: Debian 12 with Python, made by debootstrap.

Where a public Python image can be pulled, an environment names that instead and this is not used.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from infra.contract.errors import StellwerkError
from infra.contract.versions import EPOCH
from infra.local.toolchain.store import locked

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv", "python3-pip")
_DROP = (
    "var/cache/apt", "var/lib/apt/lists", "var/log", "var/cache/debconf", "var/cache/ldconfig", "tmp", "etc/machine-id",
    "etc/hostname", "etc/resolv.conf", "etc/apt/sources.list", "var/lib/dpkg/available-old", "var/lib/dpkg/status-old",
    "usr/share/doc", "usr/share/man", "usr/share/locale",
)  # fmt: skip
DOCKERFILE = f"""\
FROM scratch
ADD rootfs.tar.gz /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
LABEL org.opencontainers.image.title="stellwerk base" org.opencontainers.image.version="{SUITE}"
"""
_FOLDER = "rootfs-"
_ALTERNATIVE = "set stellwerk:images basePython to an image"


class BaseImageError(StellwerkError):
    """The base image was not made: why, and what to do."""


def make(context: Path, report: Callable[[str], None]) -> None:
    """Write `context`/Dockerfile and `context`/rootfs.tar.gz once; do nothing when they exist.

    `report` gets each step as text; another process that makes them is waited for.
    Raises BaseImageError with debootstrap's last lines.
    """
    stamp = sha256(Path(__file__).read_bytes()).hexdigest()
    record = context / ".built"
    lock = context.with_name(f"{context.name}.lock")
    with locked(lock, lambda pid: report(f"waiting for process {pid}, which makes the base image")):
        if record.exists() and record.read_text() == stamp:
            return
        report(f"base image {SUITE}: debootstrap, about 40 s …")
        began = time.monotonic()
        for left in context.parent.glob(f"{_FOLDER}*"):
            shutil.rmtree(left)
        _make(context)
        record.write_text(stamp)
        report(f"✓ base image {SUITE} debootstrap ({time.monotonic() - began:.0f} s)")


def _make(context: Path) -> None:
    context.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=context.parent, prefix=_FOLDER) as folder:
        root = Path(folder) / "root"
        _bootstrap(root)
        _clean(root)
        archive = Path(folder) / "rootfs.tar.gz"
        _pack(root, archive)
        (context / "Dockerfile").write_text(DOCKERFILE)
        archive.replace(context / "rootfs.tar.gz")


def _bootstrap(root: Path) -> None:
    # Its mounts are its own and end with it: killed, it would leave /proc mounted in a folder that people remove.
    command = [
        "unshare",
        "--mount",
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        str(root),
    ]
    mirror = _mirror()
    if mirror:
        command.append(mirror)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BaseImageError(
            f"debootstrap {SUITE} was not started: {command[0]}: {error.strerror}; install it, or {_ALTERNATIVE}"
        ) from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
        raise BaseImageError(
            f"debootstrap {SUITE} ended with {done.returncode}:\n{tail}\n"
            f"Make a Debian mirror reachable, or {_ALTERNATIVE}"
        )


def _mirror() -> str:
    """Return the Debian mirror this machine uses itself; empty for debootstrap's own default."""
    for source in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if source.exists():
            match = re.search(r"^(?:URIs:|deb)\s+(?:\[[^]]*\]\s*)?(\S+/debian/?)\s*", source.read_text(), re.MULTILINE)
            if match:
                return match.group(1)
    return ""


def _clean(root: Path) -> None:
    for name in _DROP:
        path = root / name
        if path.is_dir():
            for child in path.iterdir():
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
        elif path.exists():
            path.unlink()
    shadow = root / "etc" / "shadow"
    if shadow.exists():
        # The third field is the day of the last change of the password: that on which the package was installed.
        day = str(EPOCH // 86400)
        shadow.write_text(re.sub(r"^([^:\n]*:[^:\n]*):\d+:", rf"\g<1>:{day}:", shadow.read_text(), flags=re.MULTILINE))
    for cached in root.rglob("__pycache__"):
        shutil.rmtree(cached, ignore_errors=True)


def _pack(root: Path, archive: Path) -> None:
    options = "--sort=name --numeric-owner --one-file-system --exclude=./dev/* --format=gnu"
    tar = ["tar", *options.split(), f"--mtime=@{EPOCH}", "-C", str(root), "-c", "."]
    with archive.open("wb") as target:
        producer = subprocess.Popen(tar, stdout=subprocess.PIPE)
        done = subprocess.run(["gzip", "-n", "-6"], stdin=producer.stdout, stdout=target, check=False)
        if producer.wait() != 0 or done.returncode != 0:
            raise BaseImageError(f"packing {root} failed; free space on the disk of {archive.parent} and run it again")
    os.utime(archive, (EPOCH, EPOCH))
