"""The formats of models' files, by their content: what a file of each must look like, without opening it as a model."""

import json
import zipfile
from collections.abc import Callable, Mapping
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from delivery.errors import DeliveryError
from delivery.operations.pickles import imports_beyond_tensors
from delivery.operations.protobuf import BYTES, NUMBER, fields
from infra.contract.artefact import Format

# https://github.com/huggingface/safetensors#format: the header's length in 8 bytes, the header, the tensors.
_LENGTH = 8
_LONGEST_HEADER = 100_000_000
# Number and kind of the fields of SavedModel.
_VERSION, _META_GRAPH = (1, NUMBER), (2, BYTES)
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}


def format_of(path: Path) -> Format:
    """Return the format of a model's file by its ending, or of the one model in a folder by its name.

    Raise DeliveryError for others.
    """
    if path.is_dir():
        known = [form for form in Format if (path / form.file).is_file()]
        if len(known) != 1:
            names = ", ".join(form.file for form in Format)
            raise DeliveryError(f"{path}: a folder with a model has exactly one of the files {names}")
        return known[0]
    for form in Format:
        # Of all the files that end so, one name alone says that it is a model.
        if path.name == form.file if form is Format.SAVED_MODEL else path.suffix == f".{form.ending}":
            return form
    raise DeliveryError(
        f"{path}: not an ONNX file (.onnx), nor a SavedModel (a folder with {Format.SAVED_MODEL.file}), nor an archive "
        "of torch.export (.pt2), nor .safetensors; export the model to one of them"
    )


def check(form: Format, path: Path) -> None:
    """Raise DeliveryError unless a model's file has the content of its format; the server's own code loads ONNX."""
    if form is Format.ONNX:
        return
    try:
        _CHECKS[form](path)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile, RecursionError) as error:
        raise DeliveryError(f"{path}: it is called like a model of the format {form}, but is none: {error}") from None


def _check_safetensors(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - _LENGTH):
            raise ValueError(f"its header would have {length} bytes")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    header.pop("__metadata__", None)
    end = 0
    for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, after = tensor["data_offsets"]
        bits = prod(tensor["shape"]) * _bits(name, tensor)
        if begin != end or (after - begin) * 8 != bits:
            raise ValueError(f"the tensor {name} is not where its type and shape say")
        end = after
    if _LENGTH + length + end != size:
        raise ValueError(f"it has {size} bytes, its header says {_LENGTH + length + end}")


def _bits(name: str, tensor: Mapping[str, Any]) -> int:
    if tensor["dtype"] not in _BITS:
        raise ValueError(f"the tensor {name} is of the unknown type {tensor['dtype']}")
    return _BITS[tensor["dtype"]]


def _check_torch_export(path: Path) -> None:
    """Look for what PyTorch's specification of PT2 archives says; what it pickles may be tensors alone."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        root = names[0].partition("/")[0] if names else ""
        records = {name.removeprefix(f"{root}/") for name in names}
        if "archive_format" not in records or archive.read(f"{root}/archive_format").strip() != b"pt2":
            raise ValueError("its record archive_format is not pt2; PyTorch writes it from 2.8 on: export it again")
        if not any(name.startswith("models/") and name.endswith(".json") for name in records):
            raise ValueError("it has no models/<name>.json")
        for name in sorted(records):
            if name.startswith("data/aotinductor/") or name.endswith((".so", ".pyd", ".dll")):
                raise ValueError(f"{name} is compiled code; save the exported program itself, with torch.export.save")
            if "/custom_obj_" in name or "/opaque_obj_" in name:
                raise ValueError(f"{name} is a pickle of more than tensors")
            if name.endswith(".pt"):
                with archive.open(f"{root}/{name}") as inner:
                    beyond = imports_beyond_tensors(inner)
                if beyond:
                    raise ValueError(f"{name} is a pickle of more than tensors: {', '.join(beyond)}")


def _check_saved_model(path: Path) -> None:
    """Read the fields of the message SavedModel: the version of its schema, and one graph or more."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        known = list(fields(content, 0, len(content)))
        if any(
            (field.number, field.kind) not in (_VERSION, _META_GRAPH)
            or ((field.number, field.kind) == _VERSION and content[field.value : field.end] != b"\1")
            for field in known
        ):
            raise ValueError("its fields are not those of a SavedModel")
    if _META_GRAPH not in ((field.number, field.kind) for field in known):
        raise ValueError("it has no graph")


_CHECKS: Mapping[Format, Callable[[Path], None]] = {
    Format.SAVED_MODEL: _check_saved_model,
    Format.TORCH_EXPORT: _check_torch_export,
    Format.SAFETENSORS: _check_safetensors,
}
