"""Build contexts that are equal in every checkout: the provider hashes modes, of which git keeps but one bit."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infra.contract.problems import ConfigError

# The folder of staged contexts in a checkout.
STAGED = Path(".contexts")
# The folder of what training and serving ship their lines with; its name is that of the context, too.
SHIPPING = "shipping"


def stage(
    folder: Path,
    place: Path,
    chosen: Callable[[str], bool] = lambda _: True,
    documents: Mapping[str, Any] | None = None,
) -> Path:
    """Make `place` a copy of `folder` in which modes say only whether a file is executable; return `place`.

    `chosen` answers for a file's path in the folder whether it is copied; `documents` are further files by name, as
    JSON. What is equal already is not touched: a build that runs beside this one reads on. Hidden files and compiled
    Python are left out. Raise ConfigError if `place` cannot be written.
    """
    sources = [path for path in folder.rglob("*") if path.is_file() and _belongs(path, folder)]
    names = {path: path.relative_to(folder) for path in sources}
    files = {name: (path.read_bytes(), _mode(path)) for path, name in names.items() if chosen(name.as_posix())}
    for title, document in (documents or {}).items():
        text = json.dumps(document, indent=2, ensure_ascii=False)
        files[Path(title)] = (f"{text}\n".encode(), 0o644)
    return _place(files, place)


def stage_shipping(root: Path) -> Path:
    """Return the staged folder of what training and serving have in common; raise ConfigError as `stage` does."""
    return stage(root / SHIPPING, root / STAGED / SHIPPING)


def _place(wanted: Mapping[Path, tuple[bytes, int]], place: Path) -> Path:
    try:
        for name, (content, mode) in wanted.items():
            _write(place / name, content, mode)
        for path in place.rglob("*"):
            # Hidden ones are what a run beside this one is writing.
            if path.is_file() and _belongs(path, place) and path.relative_to(place) not in wanted:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{place}: {error.strerror}; contexts of images are put there, it has to be writable"
        ) from None
    return place


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


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
