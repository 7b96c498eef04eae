"""The files of an image as a folder, and commands in it: what a container runtime does, as far as a check needs it."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

USER = 10001
DRIVER = "/usr/local/nvidia/lib"
# In a mount namespace of its own, which goes with the command; given are the image's files, the driver's libraries, a
# control group or nothing, and the command. As a container on a node with a GPU, but for the network.
_INSIDE = f"""
root=$1 driver=$2 group=$3; shift 3
mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" && mount --rbind /sys "$root/sys" &&
mount --bind "$driver" "$root{DRIVER}" && {{ [ -z "$group" ] || echo $$ > "$group/cgroup.procs"; }} &&
exec chroot --userspec={USER}:{USER} "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$@"
"""
# What a layer takes away of those below it has a name that begins so.
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True)
class Image:
    """An image's files in `root`, and what its configuration says: variables, entry point, folder to start in."""

    root: Path
    driver: Path
    variables: Mapping[str, str]
    entrypoint: Sequence[str]
    folder: str

    def run(self, *arguments: str, entrypoint: Sequence[str] | None = None, **variables: str) -> str:
        """Return what the command prints; raise CalledProcessError, and show what it said, where it fails."""
        command, given = self._command(arguments, entrypoint, None), {**self.variables, **variables}
        done = subprocess.run(command, env=given, text=True, capture_output=True)
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-4000:], flush=True)
            done.check_returncode()
        return done.stdout

    def start(self, *arguments: str, group: Path | None = None, **variables: str) -> "subprocess.Popen[bytes]":
        """Start the image's own command, in a control group if one is given, with this process' own output."""
        return subprocess.Popen(self._command(arguments, None, group), env={**self.variables, **variables})

    def _command(self, arguments: Sequence[str], entrypoint: Sequence[str] | None, group: Path | None) -> list[str]:
        own = self.entrypoint if entrypoint is None else entrypoint
        given = [str(self.root), str(self.driver), str(group or ""), self.folder]
        return ["unshare", "--mount", "/bin/sh", "-c", _INSIDE, "sh", *given, *own, *arguments]


def image(layout: Path, name: str, root: Path, driver: Path) -> Image:
    """Unpack the image `name` of a folder of manifests (`<name>.json`), configurations and layers, by digest.

    `driver` is the folder of the driver's libraries.
    """
    manifest = json.loads((layout / f"{name}.json").read_text())
    config: dict[str, Any] = json.loads(_blob(layout, manifest["config"]).read_text())["config"]
    for layer in manifest["layers"]:
        _unpack(_blob(layout, layer), root)
    for place in ("dev", "proc", "sys", DRIVER[1:]):
        (root / place).mkdir(parents=True, exist_ok=True)
    variables = {**dict(entry.split("=", 1) for entry in config["Env"]), "LD_LIBRARY_PATH": DRIVER}
    return Image(root, driver, variables, config["Entrypoint"], config["WorkingDir"])


@contextmanager
def limited(memory: int) -> Iterator[Path]:
    """Give a control group whose processes have so many bytes of memory, and no swap."""
    group = Path("/sys/fs/cgroup") / f"stw-gpu-{os.getpid()}"
    (group.parent / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    try:
        (group / "memory.max").write_text(str(memory))
        if (swap := group / "memory.swap.max").exists():
            swap.write_text("0")
        yield group
    finally:
        group.rmdir()


def _blob(layout: Path, entry: Mapping[str, str]) -> Path:
    return layout / entry["digest"].removeprefix("sha256:")


def _unpack(layer: Path, root: Path) -> None:
    with (
        layer.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as plain,
        tarfile.open(fileobj=plain, mode="r|") as archive,
    ):
        for entry in archive:
            path = root / entry.name
            if path.name == _OPAQUE:
                shutil.rmtree(path.parent)
                path.parent.mkdir()
            elif path.name.startswith(_WHITEOUT):
                _remove(path.with_name(path.name.removeprefix(_WHITEOUT)))
            else:
                if not entry.isdir() and os.path.lexists(path):
                    _remove(path)
                # What is in it is ours: the project has built it, and its registry knows it by its digest.
                archive.extract(entry, root, filter="fully_trusted")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
