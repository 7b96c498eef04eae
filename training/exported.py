"""The files of an export: the model's, and those that it needs beside it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import TrainingError

# As the pod calls the model's file.
MODEL_FILE = "model.onnx"
# What a release allows, and what the server lays out again.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_LONGEST = 255
_MOST = 100
# Python unpickles files of these names; `stellwerk release` looks into the files, too.
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")


@dataclass(frozen=True)
class Exported:
    """The model's file, and the files beside it by their path from its folder, which is how the model names them."""

    path: Path
    beside: Mapping[str, Path] = field(default_factory=dict)

    @property
    def digests(self) -> dict[str, str]:
        """Return the digest of each file by name."""
        return {name: file_digest(path) for name, path in {MODEL_FILE: self.path, **self.beside}.items()}


def read_exported(folder: Path) -> Exported:
    """Return what an export has written into a folder, `model.onnx` and any files beside it.

    Raise TrainingError when there is no such model, or another file is one that a release cannot name.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if not path.is_dir()}
    if MODEL_FILE not in files:
        raise TrainingError("`export` has not written the file that it was given the path of")
    model = files.pop(MODEL_FILE)
    if len(files) > _MOST:
        raise TrainingError(f"export: {len(files)} files beside the model; at most {_MOST} are published")
    for name, path in files.items():
        reason = _why_not(name, path)
        if reason:
            raise TrainingError(f"export: the file {name!r} beside the model cannot be published: {reason}")
    return Exported(model, files)


def _why_not(name: str, path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return "it is no regular file"
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        return (
            f"allowed are names of letters, digits, '.', '_' and '-', beginning with none of '.' and '-', {_LONGEST} "
            "characters with their folders"
        )
    if name.lower().endswith(_PICKLES):
        return "a pickle runs any code as it is opened; write JSON, safetensors or a text file"
    return None if path.stat().st_size else "it is empty"


def file_digest(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file, read piece by piece."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
