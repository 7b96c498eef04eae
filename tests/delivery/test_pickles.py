"""Pickles are found by content, whatever a file is called; what is none is left alone."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import pickletools
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from delivery.operations.pickles import pickle_in


class Harmful:
    """What a pickle of it would do as it is opened."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("false",)


def archive(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for name, member in members.items():
            made.writestr(name, member)
    return content.getvalue()


def array(values: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=True)
    return content.getvalue()


def with_joblib(values: Any, compress: Any) -> bytes:
    content = io.BytesIO()
    joblib.dump(values, content, compress=compress)
    return content.getvalue()


LAYERS = {"config": {"layers": [{"class_name": "Lambda", "config": {}}]}}
BINARY = pickle.dumps({"weights": [1.5, 2.5]}, 4)
PICKLES = {
    **{f"protocol {protocol}": pickle.dumps(Harmful(), protocol) for protocol in range(6)},
    "data alone": BINARY,
    "optimised": pickletools.optimize(pickle.dumps({"weights": (1.5, 2.5)}, 2)),
    "torch.save": archive({"model/data.pkl": pickle.dumps({}, 2), "model/data/0": bytes(8)}),
    "numpy objects": array(np.array([Harmful()], object)),
    "npz with objects": archive({"a.npy": array(np.array([None], object))}),
    "joblib": with_joblib({"a": np.ones(3)}, 0),
    "joblib zlib": with_joblib({"a": np.ones(3)}, ("zlib", 3)),
    "gzip": gzip.compress(BINARY),
    "zlib": zlib.compress(BINARY),
    "bz2": bz2.compress(BINARY),
    "xz": lzma.compress(BINARY),
    "lzma": lzma.compress(BINARY, lzma.FORMAT_ALONE),
    "keras archive": archive({"config.json": json.dumps(LAYERS).encode()}),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(3 << 20) + json.dumps(LAYERS).encode(),
    "broken archive": b"PK\x03\x04 and nothing else",
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in PICKLES.items()])
def test_a_pickle_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(content)
    reason = pickle_in(tmp_path / "weights.bin")
    assert reason is not None
    assert any(word in reason for word in ("as it is opened", "cannot be looked into"))


OTHERS = {
    "empty": b"",
    "numbers": np.random.default_rng(1).normal(size=10_000).astype(np.float32).tobytes(),
    "like protocol 2": b"\x80\x02" + np.random.default_rng(2).normal(size=1000).astype(np.float32).tobytes(),
    "vocabulary": b"cat\ndog\nhorse\nNice.\n",
    "one dot": b".",
    "numpy": array(np.ones((2, 2))),
    "npz": archive({"a.npy": array(np.ones(3)), "b.npy": array(np.array(["a"]))}),
    "gzip": gzip.compress(b"a text"),
    "json": json.dumps({"class_name": "Dense"}).encode(),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "zlib, not at all": b"\x78 is an x",
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in OTHERS.items()])
def test_what_is_none_passes(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(content)
    assert pickle_in(tmp_path / "weights.bin") is None


def test_of_tensors_hardly_one_is_taken_for_a_pickle(tmp_path: Path) -> None:
    chance, path = np.random.default_rng(3), tmp_path / "weights.bin"
    taken = 0
    for protocol in (2, 3, 4, 5) * 50:
        path.write_bytes(bytes((0x80, protocol)) + chance.normal(size=500).astype(np.float32).tobytes())
        taken += pickle_in(path) is not None
    assert taken < 20
