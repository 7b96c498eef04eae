"""The files of an artefact in its folder: that they are what was hashed while they are read."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from serving.errors import StartError


@contextmanager
def verified(files: Mapping[Path, str]) -> Iterator[list[str]]:
    """Open `files` (path to ``sha256:<hex>``), and hand out names under which their open files can be read.

    Raises StartError when one cannot be read or has another digest, or, at the end of the block, when one was changed
    or replaced since it was hashed: whoever may write to it could do that. In a pod nobody can, the volume is
    read-only for the server.
    """
    with ExitStack() as stack:
        opened: list[str] = []
        before: dict[Path, tuple[int, ...]] = {}
        try:
            for path, digest in files.items():
                file = stack.enter_context(path.open("rb"))
                opened.append(f"/dev/fd/{file.fileno()}")
                before[path] = _state(os.fstat(file.fileno()))
                actual = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
                if actual != digest:
                    raise StartError(f"{path} has digest {actual}, expected {digest}; it is not served")
                file.seek(0)
            yield opened
            changed = [path for path, state in before.items() if _state(path.stat()) != state]
        except OSError as error:
            raise StartError(f"the model cannot be read: {error}") from error
    if changed:
        raise StartError(f"{changed[0]} was changed while it was loaded; it is not served")


def check_folder(folder: Path, names: set[str]) -> None:
    """Raise StartError if anything but regular files of these paths is below `folder`: nobody has hashed it."""
    others = sorted(_others(folder, names))
    if others:
        raise StartError(
            f"{folder} holds what is no file of the artefact: {', '.join(others)}; with several files "
            "(ARTEFACT_FILES) it must hold them alone, and no links"
        )


def _others(folder: Path, names: set[str], above: str = "") -> Iterator[str]:
    """Yield what is neither one of the files nor a folder of one; it is not looked into."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = above + entry.name
            if entry.is_dir(follow_symlinks=False) and any(one.startswith(f"{name}/") for one in names):
                yield from _others(Path(entry.path), names, f"{name}/")
            elif name not in names or not entry.is_file(follow_symlinks=False):
                yield name


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
