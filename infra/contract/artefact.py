"""The files of a model: what a release says of them, their formats, and which ones are never served."""

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from infra.contract.fields import Digest, Section

# Endings of files that Python unpickles: `.pt` and `.pth` are archives with a pickle inside.
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
PICKLE_REASON = (
    "a pickle runs any code as it is opened, and is read by nothing but the very packages that wrote it; export the "
    "model to ONNX"
)
# All names together stand in one variable of a pod's environment, of which Linux allows 128 KiB.
MOST_FILES = 100
_LONGEST = 255
_PART = "[A-Za-z0-9_][A-Za-z0-9._-]*"


class Format(StrEnum):
    """The formats that are served: ONNX by the server, the others by a model's own hooks."""

    ONNX = "onnx"
    SAVED_MODEL = "savedmodel"
    TORCH_EXPORT = "pt2"
    SAFETENSORS = "safetensors"

    @property
    def file(self) -> str:
        """Return what the model's file is called in a pod; no further file has this name."""
        return _MODEL_FILES[self]

    @property
    def ending(self) -> str:
        """Return the ending of the file's key."""
        return self.file.rpartition(".")[2]


_MODEL_FILES = {
    Format.ONNX: "model.onnx",
    Format.SAVED_MODEL: "saved_model.pb",
    Format.TORCH_EXPORT: "model.pt2",
    Format.SAFETENSORS: "model.safetensors",
}


class StoredObject(Section):
    """An object of the store, content-addressed."""

    digest: Digest
    size: int = Field(ge=1, description="bytes, at least 1")
    key: str = Field(min_length=1, description="the key in the bucket: <model>/sha256-<64 hex>.<ending>")


def is_pickle(name: str) -> bool:
    """Return whether a file of this name is one that Python unpickles."""
    return name.lower().endswith(_PICKLES)


def _check_name(name: str) -> str:
    if name in _MODEL_FILES.values():
        raise ValueError(f"a name other than {name}, which is the model's own")
    if is_pickle(name):
        raise ValueError(f"a file that is no pickle: {PICKLE_REASON}")
    return name


FileName = Annotated[
    str,
    Field(
        pattern=f"^{_PART}(/{_PART})*$",
        max_length=_LONGEST,
        description="a path below the model's folder: names of letters, digits, '.', '_' and '-', which begin with "
        f"none of '.' and '-', with '/' between them; at most {_LONGEST} characters",
    ),
    AfterValidator(_check_name),
]


class File(StoredObject):
    """A file beside the model's, by the name that the model knows it by: tensors outside the model, a vocabulary."""

    name: FileName


class ModelFile(StoredObject):
    """The model's file."""

    format: Format = Field(description=", ".join(Format))


class Artefact(ModelFile):
    """The model's file, and the files beside it."""

    files: tuple[File, ...] = Field(
        default=(),
        max_length=MOST_FILES,
        description=f"further files in the model's folder, each by its path; at most {MOST_FILES}",
    )

    @field_validator("files")
    @classmethod
    def _check_names(cls, given: tuple[File, ...]) -> tuple[File, ...]:
        names = [file.name for file in given]
        folders = {folder.as_posix() for name in names for folder in PurePosixPath(name).parents}
        for name in names:
            if names.count(name) > 1 or name in folders:
                raise ValueError(f"a name that no other file has, as it is or as a folder; not {name}")
        if folders & set(_MODEL_FILES.values()):
            raise ValueError("no folder that is called like the model's file")
        return given

    @property
    def total_size(self) -> int:
        """Return the bytes of all files."""
        return self.size + sum(file.size for file in self.files)


class ExampleRows(StoredObject):
    """The document with held-out rows, their labels and the model's answers to them."""

    rows: int = Field(ge=1, description="a number, at least 1")


def object_key(model: str, digest: str, ending: str) -> str:
    """Return the key of a content-addressed object of a model."""
    return f"{model}/{digest.replace(':', '-')}.{ending}"


def file_key(model: str, digest: str) -> str:
    """Return the key of a file beside the model's: by its content, whatever it is called."""
    return object_key(model, digest, "bin")
