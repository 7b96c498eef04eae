"""Artefacts of several files: only what is named is read, and tensors in their own files are mapped, not copied."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.artefact import verified
from serving.errors import StartError
from serving.memory import MIB
from serving.model import load
from tests.support import plain_http
from tests.support.onnx_models import digest_of, layers_model
from tests.support.project import ROOT
from tests.support.server import Server

WEIGHTS = np.arange(16, dtype=np.float32).tobytes()


def artefact(folder: Path, location: str = "weights.bin") -> Path:
    """Write a model of one matrix at `location` and the file weights.bin; return the model's path."""
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(layers_model(1, 4, location)[0])
    (folder / "weights.bin").write_bytes(WEIGHTS)
    return path


def load_with(path: Path, files: dict[str, bytes]) -> Any:
    return load(path, digest_of(path.read_bytes()), 1, {name: digest_of(content) for name, content in files.items()})


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin"])
def test_tensors_are_read_from_a_file_that_is_named(tmp_path: Path, location: str) -> None:
    path = artefact(tmp_path / "model", location)
    model = load_with(path, {"weights.bin": WEIGHTS})
    assert model.warm_up() is None
    (answer,) = model.run({"x": np.eye(4, dtype=np.float32)[:2]}, model.output_names)
    assert answer.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_tensors_may_be_in_a_folder_beside_the_model(tmp_path: Path) -> None:
    path = artefact(tmp_path / "model", "tensors/weights.bin")
    (path.parent / "tensors").mkdir()
    (path.parent / "weights.bin").rename(path.parent / "tensors" / "weights.bin")
    model = load_with(path, {"tensors/weights.bin": WEIGHTS})
    (answer,) = model.run({"x": np.eye(4, dtype=np.float32)[:1]}, model.output_names)
    assert answer.tolist() == [[0, 1, 2, 3]]
    (path.parent / "tensors" / "more.bin").touch()
    with pytest.raises(StartError, match=r"holds what is no file of the artefact: tensors/more\.bin; "):
        load_with(path, {"tensors/weights.bin": WEIGHTS})


@pytest.mark.parametrize("location", ["../weights.bin", "other.bin", "sub/weights.bin", "/etc/hostname", ""])
def test_a_location_that_is_no_file_of_the_artefact_is_refused(tmp_path: Path, location: str) -> None:
    path = artefact(tmp_path / "model", location)
    (tmp_path / "weights.bin").write_bytes(WEIGHTS)
    with pytest.raises(StartError, match="ONNX external data"):
        load_with(path, {"weights.bin": WEIGHTS})


def test_an_absolute_location_is_refused_even_in_the_folder(tmp_path: Path) -> None:
    path = artefact(tmp_path / "model", str(tmp_path / "model" / "weights.bin"))
    with pytest.raises(StartError, match="ONNX external data"):
        load_with(path, {"weights.bin": WEIGHTS})


def add_file(folder: Path) -> None:
    (folder / "other.bin").write_bytes(WEIGHTS)


def add_folder(folder: Path) -> None:
    (folder / "other.bin").mkdir()


def add_link(folder: Path) -> None:
    (folder / "other.bin").symlink_to("weights.bin")


def link_outside(folder: Path) -> None:
    (folder / "weights.bin").rename(folder.parent / "weights.bin")
    (folder / "weights.bin").symlink_to("../weights.bin")


@pytest.mark.parametrize(
    ("change", "named"),
    [(add_file, "other.bin"), (add_folder, "other.bin"), (add_link, "other.bin"), (link_outside, "weights.bin")],
)
@pytest.mark.parametrize("location", ["weights.bin", "other.bin"])
def test_a_folder_with_anything_else_in_it_is_refused(
    tmp_path: Path, change: Callable[[Path], None], named: str, location: str
) -> None:
    path = artefact(tmp_path / "model", location)
    change(path.parent)
    with pytest.raises(StartError, match=f"holds what is no file of the artefact: {named}; "):
        load_with(path, {"weights.bin": WEIGHTS})


def test_a_file_with_another_digest_or_none_is_refused(tmp_path: Path) -> None:
    path = artefact(tmp_path / "model")
    with pytest.raises(StartError, match=rf"weights\.bin has digest {digest_of(WEIGHTS)}, expected {digest_of(b'x')}"):
        load_with(path, {"weights.bin": b"x"})
    with pytest.raises(StartError, match=r"the model cannot be read: .*other\.bin"):
        load_with(path, {"other.bin": WEIGHTS})
    (path.parent / "weights.bin").write_bytes(WEIGHTS[:-1])
    with pytest.raises(StartError, match="ONNX external data"):
        load_with(path, {"weights.bin": WEIGHTS[:-1]})


def write_again(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def replace_by_equal(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes())
    os.replace(path.with_name("new"), path)


@pytest.mark.parametrize("change", [write_again, replace_by_equal])
def test_a_file_that_changes_while_it_is_loaded_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = artefact(tmp_path / "model").with_name("weights.bin")
    os.utime(path, (0, 0))
    with (
        pytest.raises(StartError, match=r"weights\.bin was changed while it was loaded"),
        verified({path: digest_of(WEIGHTS)}) as (opened,),
    ):
        assert Path(opened).read_bytes() == WEIGHTS
        change(path)


def test_a_server_of_two_files(tmp_path: Path, start: Callable[..., Server]) -> None:
    path = artefact(tmp_path / "artefact")
    weights = {"name": "weights.bin", "digest": digest_of(WEIGHTS), "size": len(WEIGHTS), "key": "w"}
    server = start(path.read_bytes(), MODEL_PATH=str(path), ARTEFACT_FILES=json.dumps([weights]))
    given = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 1, 0]}
    answer = plain_http.post(f"{server.url}/v2/models/digits/infer", json={"inputs": [given]})
    assert answer.json()["outputs"][0]["data"] == [8, 9, 10, 11]


def test_tensors_in_their_own_file_stay_there(tmp_path: Path) -> None:
    content, size = layers_model(3, 5000, "weights.bin")
    path, digest = tmp_path / "model.onnx", hashlib.sha256()
    path.write_bytes(content)
    chance = np.random.default_rng(1)
    # Unlike ones: equal ones might be kept once.
    with (tmp_path / "weights.bin").open("wb") as file:
        for _ in range(size // (4 * 5_000_000)):
            values = chance.random(5_000_000, np.float32).tobytes()
            digest.update(values)
            file.write(values)
    assert (tmp_path / "weights.bin").stat().st_size == size == 300_000_000
    program = f"""
        from pathlib import Path
        from serving.memory import return_large_blocks
        from serving.model import limit_runs, load

        def kibibytes(name):
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

        return_large_blocks()
        limit_runs({64 * MIB})
        before = kibibytes("RssAnon")
        files = {{"weights.bin": "sha256:{digest.hexdigest()}"}}
        model = load(Path({str(path)!r}), {digest_of(content)!r}, 1, files)
        assert model.warm_up() is None
        print(kibibytes("RssAnon") - before, kibibytes("VmHWM"))
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, check=True
        )
    finally:
        (tmp_path / "weights.bin").unlink()
    own, most = (int(text) * 1024 for text in done.stdout.split())
    assert own < 16 * MIB, f"{own / MIB:.0f} MiB of its own for a file of {size / MIB:.0f} MiB"
    assert most < size + 100 * MIB, f"{most / MIB:.0f} MiB at most, with what is mapped"
