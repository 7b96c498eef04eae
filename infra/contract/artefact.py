"""The files of a model: what a release says of them, and which ones are never served."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from infra.contract.fields import Digest, Section

# As the pod calls the model's file; no further file has this name.
MODEL_FILE = "model.onnx"
# Endings of files that Python unpickles: `.pt` and `.pth` are archives with a pickle inside.
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
PICKLE_REASON = (
    "a pickle runs any code as it is opened, and is read by nothing but the very packages that wrote it; export the "
    "model to ONNX"
)


class Format(StrEnum):
    """The formats that are served."""

    ONNX = "onnx"


class StoredObject(Section):
    """An object of the store, content-addressed."""

    digest: Digest
    size: int = Field(ge=1, description="bytes, at least 1")
    key: str = Field(min_length=1, description="the key in the bucket: <model>/sha256-<64 hex>.<ending>")


def is_pickle(name: str) -> bool:
    """Return whether a file of this name is one that Python unpickles."""
    return name.lower().endswith(_PICKLES)


def _check_name(name: str) -> str:
    if name == MODEL_FILE:
        raise ValueError(f"a name other than {MODEL_FILE}, which is the model's own")
    if is_pickle(name):
        raise ValueError(f"a file that is no pickle: {PICKLE_REASON}")
    return name


FileName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$",
        description="a file name of letters, digits, '.', '_' and '-', which begins with none of '.' and '-'",
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

    files: tuple[File, ...] = Field(default=(), description="further files in the model's folder, each by its name")

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
