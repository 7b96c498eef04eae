"""Taking files out of tar and zip archives, without trusting the paths in them."""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from infra.local.toolchain.errors import ToolchainError

_Entry = tuple[str, int, IO[bytes]]


def _entries(archive: Path | IO[bytes], label: str) -> Iterator[_Entry]:
    """Yield every regular file: its path, its mode bits, its content."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            for info in bundle.infolist():
                if not info.is_dir():
                    with bundle.open(info) as content:
                        yield info.filename, info.external_attr >> 16, content
        return
    if not isinstance(archive, Path):
        archive.seek(0)
    try:
        path, file = (archive, None) if isinstance(archive, Path) else (None, archive)
        with tarfile.open(path, "r:*", file) as tar:
            for member in tar:
                data = tar.extractfile(member) if member.isreg() else None
                if data is not None:
                    yield member.name.removeprefix("./"), member.mode, data
    except tarfile.TarError as error:
        raise ToolchainError(f"{label}: neither a zip nor a tar archive ({error})") from error


def extract(archive: Path | IO[bytes], member: str, target: Path, label: str) -> None:
    """Write the file at `member` to `target`; `a!b` is b inside the archive a inside this one.

    Raises ToolchainError when the archive has no such member.
    """
    first, _, rest = member.partition("!")
    for name, _mode, content in _entries(archive, label):
        if name == first:
            if rest:
                extract(io.BytesIO(content.read()), rest, target, f"{label}!{first}")
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    shutil.copyfileobj(content, out)
            return
    raise ToolchainError(f"{label}: holds no file {first}")


def unpack(archive: Path, target: Path, strip: int, exclude: list[str]) -> None:
    """Write all files below `target`, without their first `strip` path parts and the folders in `exclude`.

    Raises ToolchainError for a path that leads out of `target`.
    """
    for name, mode, content in _entries(archive, archive.name):
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/"):
            raise ToolchainError(f"{archive.name}: {name} leads out of the archive")
        kept = parts[strip:]
        if not kept or kept[0] in exclude:
            continue
        path = target.joinpath(*kept)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            shutil.copyfileobj(content, out)
        path.chmod(0o755 if mode & 0o111 else 0o644)
