"""The files of a model that is imported: which they are, what a release says of them, and as a pod has them."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from delivery.errors import DeliveryError, system_errors
from delivery.operations import formats
from delivery.operations.onnx_files import load_files
from delivery.operations.pickles import pickle_in
from infra.contract.artefact import PICKLE_REASON, Artefact, Format, file_key, is_pickle, object_key
from serving.errors import StartError
from serving.model import Model


def load_model(folder: Path, artefact: Artefact) -> Model:
    """Return the model of a staged folder, loaded by the server's own code; raise DeliveryError if it cannot be."""
    try:
        return load_files(folder, artefact)
    except StartError as error:
        raise DeliveryError(
            f"the model cannot be served: {' '.join(str(error).split())}; nothing is imported"
        ) from None


@dataclass(frozen=True)
class Layout:
    """The model's file, and those beside it by their path from its folder."""

    format: Format
    model: Path
    beside: Mapping[str, Path]

    def artefact(self, model: str) -> Artefact:
        """Return the artefact of the files, each hashed piece by piece."""
        main = _hashed(self.model)
        beside = [_hashed(path) | {"name": name} for name, path in self.beside.items()]
        document = {
            **main,
            "format": self.format.value,
            "key": object_key(model, main["digest"], self.format.ending),
            "files": [file | {"key": file_key(model, file["digest"])} for file in beside],
        }
        try:
            return Artefact.model_validate_json(json.dumps(document))
        except ValidationError as error:
            details = error.errors()[0]
            raise DeliveryError(f"{_about(details, beside)}: not a file of a model: {details['msg']}") from None

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Yield a folder with the files alone, as a pod has them: links where the disk allows it, else copies."""
        action = "make the folder of the model writable, or free its size in the temporary folder"
        with system_errors("laying out the model", action):
            beside = self.model.resolve().parent
            place = beside if os.access(beside, os.W_OK) else None
            with tempfile.TemporaryDirectory(prefix=".stellwerk-", dir=place) as folder:
                for name, path in {self.format.file: self.model, **self.beside}.items():
                    target = Path(folder) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        os.link(path.resolve(), target)
                    except OSError:
                        shutil.copyfile(path, target)
                yield Path(folder)


def lay_out(file: Path, beside: Sequence[Path]) -> Layout:
    """Return the files: the model's, those given beside it, and all others where a folder is given.

    Raise DeliveryError for a pickle, by name or by content, and for a file that is none of its format.
    """
    for path in (file, *beside):
        _refuse_pickle_by_name(path)
    with system_errors("reading the model", "name a file that exists and that you may read"):
        file.stat()
        form = formats.format_of(file)
        model = file / form.file if file.is_dir() else file
        # A SavedModel is its folder.
        if file.is_dir() or form is Format.SAVED_MODEL:
            beside = [*beside, *(path for path in sorted(model.parent.rglob("*")) if path.is_file() and path != model)]
        files: dict[str, Path] = {}
        for path in beside:
            name = _name(path, model.parent)
            if name in files:
                raise DeliveryError(f"--data-file: two files of one name, {name}; each stands in one folder")
            files[name] = path
        for path in (model, *files.values()):
            _refuse_pickle_by_name(path)
            reason = pickle_in(path)
            if reason:
                raise DeliveryError(f"{path}: not imported: {reason}; {PICKLE_REASON}")
        formats.check(form, model)
    return Layout(form, model, files)


def _name(path: Path, folder: Path) -> str:
    """Return what the model calls a file: by its path from the model's folder, else by its name."""
    inside = path.resolve().is_relative_to(folder.resolve())
    return path.resolve().relative_to(folder.resolve()).as_posix() if inside else path.name


def _refuse_pickle_by_name(path: Path) -> None:
    if is_pickle(path.name):
        raise DeliveryError(f"{path}: pickles are not imported: {PICKLE_REASON}")


def _hashed(path: Path) -> dict[str, Any]:
    with system_errors("reading the model", "name a file that exists and that you may read"), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"digest": f"sha256:{digest}", "size": os.fstat(file.fileno()).st_size}


def _about(details: Any, beside: Sequence[Mapping[str, Any]]) -> str:
    """Return which file an error is about."""
    match details["loc"]:
        case ("files", int(index), *_):
            return str(beside[index]["name"])
        case ("files", *_):
            return ", ".join(str(file["name"]) for file in beside[:5])
        case _:
            return "the model's file"
