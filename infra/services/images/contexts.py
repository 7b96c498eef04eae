"""Build contexts that are equal in every checkout: the provider hashes modes, of which git keeps but one bit."""

import os
import tempfile
from pathlib import Path

from infra.contract.problems import ConfigError


def stage(folder: Path, place: Path) -> Path:
    """Makes `place` a copy of `folder` in which modes say only whether a file is executable; returns `place`.

    What is equal already is not touched: a build that runs beside this one reads on. Hidden files and compiled Python
    are left out. Raises ConfigError if `place` cannot be written.
    """
    wanted = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file() and _belongs(path, folder)}
    try:
        for name, source in wanted.items():
            mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
            _write(place / name, source.read_bytes(), mode)
        for path in place.rglob("*"):
            # Hidden ones are what a run beside this one is writing.
            if path.is_file() and _belongs(path, place) and path.relative_to(place) not in wanted:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{place}: {error.strerror}; contexts of images are put there, it has to be writable"
        ) from None
    return place


def _belongs(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    stray = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return not stray or parts == (".dockerignore",)


def _write(target: Path, content: bytes, mode: int) -> None:
    if target.is_file() and target.stat().st_mode & 0o777 == mode and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    os.replace(temporary, target)
