"""ONNX files of any size, loaded without their tensors in memory: these stay where they stand in the file.

ONNX Runtime maps tensors of other files into memory, and reads the model's own file whole. So it is given an outline
of the model: the same one, whose large tensors are external data, each at its place in the model's file.
"""

import hashlib
import secrets
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from delivery.operations.protobuf import BYTES, Field, bytes_field, fields, number_field
from infra.contract.artefact import Artefact
from serving.errors import StartError
from serving.model import Model, load

# Fields of ModelProto, GraphProto, TensorProto and StringStringEntryProto, in `onnx/onnx.proto`.
_GRAPH, _INITIALIZER = 7, 5
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_KEY, _VALUE = 1, 2
_EXTERNAL = 1
_LARGE_FILE = 32 << 20
# What is smaller, ONNX Runtime may look at while it loads a model: shapes, constants.
_LARGE_TENSOR = 64 << 10


def load_files(folder: Path, artefact: Artefact, large: int = _LARGE_FILE, tensor: int = _LARGE_TENSOR) -> Model:
    """Return the model whose files, and nothing else, are in a folder, loaded by the server's own code.

    Of a file of `large` bytes, tensors from `tensor` bytes on are mapped; it has another name then. Raise StartError
    when a file is not what its digest says, or the model cannot be served.
    """
    path = folder / artefact.format.file
    files = {file.name: file.digest for file in artefact.files}
    if path.stat().st_size < large:
        return load(path, artefact.digest, files=files)
    # A name that no file can know, so that none refers to itself.
    whole = path.rename(folder / f"{secrets.token_hex(16)}.onnx")
    try:
        written = outline(whole, tensor)
    except ValueError as error:
        raise StartError(f"the model is no ONNX file: {error}") from None
    path.write_bytes(written)
    digest = f"sha256:{hashlib.sha256(written).hexdigest()}"
    return load(path, digest, files={whole.name: artefact.digest, **files})


def outline(path: Path, least: int) -> bytes:
    """Return an ONNX file with its tensors of `least` bytes and more as external data in the file itself.

    They are not read. Raise ValueError when the file is no message of Protocol Buffers.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return b"".join(_model(content, path.name, least))


def _model(content: mmap, location: str, least: int) -> Iterator[bytes]:
    for field in fields(content, 0, len(content)):
        if (field.number, field.kind) == (_GRAPH, BYTES):
            yield bytes_field(_GRAPH, b"".join(_graph(content, field, location, least)))
        else:
            yield content[field.key : field.end]


def _graph(content: mmap, graph: Field, location: str, least: int) -> Iterator[bytes]:
    for field in fields(content, graph.value, graph.end):
        if (field.number, field.kind) == (_INITIALIZER, BYTES):
            yield bytes_field(_INITIALIZER, b"".join(_tensor(content, field, location, least)))
        else:
            yield content[field.key : field.end]


def _tensor(content: mmap, tensor: Field, location: str, least: int) -> Iterator[bytes]:
    known = list(fields(content, tensor.value, tensor.end))
    raw = [one for one in known if (one.number, one.kind) == (_RAW_DATA, BYTES) and one.end - one.value >= least]
    # Where the data is may be said already: inside.
    replaced = (_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION) if raw else ()
    for field in known:
        if field.number not in replaced:
            yield content[field.key : field.end]
    # Of a field that stands there twice, the last one counts.
    for field in raw[-1:]:
        place = {"location": location, "offset": str(field.value), "length": str(field.end - field.value)}
        for key, value in place.items():
            yield bytes_field(_EXTERNAL_DATA, bytes_field(_KEY, key.encode()) + bytes_field(_VALUE, value.encode()))
        yield number_field(_DATA_LOCATION, _EXTERNAL)
