"""Files of other formats than ONNX: accepted by their content, refused with what is wrong of it."""

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delivery.errors import DeliveryError
from delivery.operations.formats import check, format_of
from infra.contract.artefact import Format


def safetensors(header: Any, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(begin: int, end: int, dtype: str = "F32", *shape: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


DATA = np.arange(5, dtype=np.float32).tobytes()
TENSORS = {"__metadata__": {"format": "pt"}, "weight": tensor(0, 16, "F32", 2, 2), "bias": tensor(16, 20, "F32", 1)}


def archive(changes: Mapping[str, bytes | None] = {}) -> bytes:
    """Return what `torch.export.save` writes, with changes of its records; None leaves one away."""
    examples = io.BytesIO()
    with zipfile.ZipFile(examples, "w") as inner:
        inner.writestr("archive/data.pkl", pickle.dumps(OrderedDict(), 2))
    records: dict[str, bytes | None] = {
        "archive_format": b"pt2",
        "byteorder": b"little",
        "models/model.json": b"{}",
        "data/weights/weight_0": bytes(16),
        "data/sample_inputs/model.pt": examples.getvalue(),
        **changes,
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for name, record in records.items():
            if record is not None:
                made.writestr(f"model/{name}", record)
    return content.getvalue()


def of_more() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as inner:
        inner.writestr("archive/data.pkl", pickle.dumps(Path("a"), 2))
    return content.getvalue()


GRAPH = b"\x12\x04\x0a\x02\x12\x00"
GOOD = {
    "model.safetensors": safetensors(TENSORS, DATA),
    "model.pt2": archive(),
    "saved_model.pb": b"\x08\x01" + GRAPH,
}
WRONG = [
    ("model.safetensors", safetensors(TENSORS, DATA + b"x"), r"it has \d+ bytes, its header says \d+"),
    ("model.safetensors", safetensors(TENSORS | {"more": tensor(24, 28, "F32", 1)}, DATA), "more is not where"),
    ("model.safetensors", safetensors({"a": tensor(0, 20, "F32", 4)}, DATA), "a is not where its type and shape say"),
    ("model.safetensors", safetensors({"a": tensor(0, 20, "OBJ", 5)}, DATA), "a is of the unknown type OBJ"),
    ("model.safetensors", (1 << 40).to_bytes(8, "little"), "its header would have"),
    ("model.safetensors", safetensors([], b""), "its header is no JSON object"),
    ("model.safetensors", b"short", "its header would have"),
    ("model.pt2", b"no archive", "File is not a zip file"),
    ("model.pt2", archive({"archive_format": None}), "its record archive_format is not pt2"),
    ("model.pt2", archive({"models/model.json": None}), "it has no models/<name>.json"),
    ("model.pt2", archive({"data/aotinductor/model/a.so": b"x"}), "compiled code"),
    ("model.pt2", archive({"data/constants/custom_obj_0": b"x"}), "a pickle of more than tensors"),
    ("model.pt2", archive({"data/sample_inputs/model.pt": of_more()}), "more than tensors: pathlib"),
    ("model.pt2", archive({"data/sample_inputs/model.pt": b"x"}), "is none"),
    ("saved_model.pb", b"", "empty file"),
    ("saved_model.pb", b"\x08\x01", "it has no graph"),
    ("saved_model.pb", b"\x08\x02" + GRAPH, "its fields are not those of a SavedModel"),
    ("saved_model.pb", b"\x08\x01" + GRAPH[:-1], "it ends in the middle of a field"),
    ("saved_model.pb", b"a text", "it ends in the middle of a field"),
    ("saved_model.pb", b"\x1a\x00" + GRAPH, "its fields are not those of a SavedModel"),
    ("saved_model.pb", b"\x0b" + GRAPH, "a field of the unknown kind 3"),
    ("saved_model.pb", b"\xff" * 11, "a number of more than 64 bits"),
    ("saved_model.pb", b"\xff", "in the middle of a number"),
]


@pytest.mark.parametrize("name", GOOD)
def test_a_file_of_its_format_passes(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    check(format_of(tmp_path / name), tmp_path / name)
    assert format_of(tmp_path) is format_of(tmp_path / name)


@pytest.mark.parametrize(("name", "content", "reason"), WRONG)
def test_a_file_that_only_is_called_so_is_refused(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DeliveryError, match=f"{name}: it is called like a model of the format .*{reason}"):
        check(format_of(tmp_path / name), tmp_path / name)


def test_a_folder_has_one_model(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match=r"exactly one of the files model\.onnx, saved_model\.pb"):
        format_of(tmp_path)
    for name in ("model.onnx", "model.pt2"):
        (tmp_path / name).touch()
    with pytest.raises(DeliveryError, match="exactly one of the files"):
        format_of(tmp_path)


def test_the_ending_says_the_format() -> None:
    assert format_of(Path("scorer.onnx")) is Format.ONNX
    for name in ("model.h5", "graph.pb", "model"):
        with pytest.raises(DeliveryError, match="not an ONNX file"):
            format_of(Path(name))
