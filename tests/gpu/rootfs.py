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
_MOUNTED = ("/dev", "/proc")
# What a layer takes away of those below it has a name that begins so.
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True)
class Image:
    """An image's files in `root`, and what its configuration says: variables, entry point, folder to start in."""

    root: Path
    variables: Mapping[str, str]
    entrypoint: Sequence[str]
    folder: str

    def command(self, arguments: Sequence[str], entrypoint: Sequence[str] | None = None) -> list[str]:
        """Return the command that starts the image's own one, or another, with these arguments in its files."""
        inside = [*(self.entrypoint if entrypoint is None else entrypoint), *arguments]
        change = ["/usr/sbin/chroot", f"--userspec={USER}:{USER}", str(self.root)]
        return [*change, "/bin/sh", "-c", 'cd "$0" && exec "$@"', self.folder, *inside]

    def run(self, *arguments: str, entrypoint: Sequence[str] | None = None, **variables: str) -> str:
        """Return what the command prints; raise CalledProcessError, and show what it said, where it fails."""
        done = subprocess.run(
            self.command(arguments, entrypoint), env={**self.variables, **variables}, text=True, capture_output=True
        )
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-4000:], flush=True)
            done.check_returncode()
        return done.stdout

    def start(
        self, *arguments: str, entrypoint: Sequence[str] | None = None, **variables: str
    ) -> "subprocess.Popen[bytes]":
        """Start the command, with this process' own output."""
        return subprocess.Popen(self.command(arguments, entrypoint), env={**self.variables, **variables})


@contextmanager
def image(layout: Path, name: str, root: Path, driver: Path) -> Iterator[Image]:
    """Unpack the image `name` of a folder of manifests (`<name>.json`), configurations and layers, by digest.

    The driver's libraries are mounted as they are for a container on a node with a GPU.
    """
    manifest = json.loads((layout / f"{name}.json").read_text())
    config: dict[str, Any] = json.loads(_blob(layout, manifest["config"]).read_text())["config"]
    for layer in manifest["layers"]:
        _unpack(_blob(layout, layer), root)
    variables = dict(entry.split("=", 1) for entry in config["Env"])
    mounts = [*((Path(path), root / path[1:]) for path in _MOUNTED), (driver, root / "usr/local/nvidia/lib")]
    done: list[Path] = []
    try:
        for source, target in mounts:
            target.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--rbind", source, target], check=True)
            done.append(target)
        yield Image(
            root, {**variables, "LD_LIBRARY_PATH": "/usr/local/nvidia/lib"}, config["Entrypoint"], config["WorkingDir"]
        )
    finally:
        for target in done:
            subprocess.run(["umount", "--lazy", target], check=True)


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
