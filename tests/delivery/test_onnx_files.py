"""A large ONNX file is loaded with its tensors where they stand in the file, and is the same model."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from delivery.operations.onnx_files import load_files, outline
from infra.contract.artefact import Artefact, Format
from serving.errors import StartError
from tests.support.onnx_models import layers_model, network_model, onnx_model

SIZE = 16


def laid_out(folder: Path, content: bytes, **beside: bytes) -> Artefact:
    """Write a model's files as a pod has them; return what a release says of them."""
    (folder / Format.ONNX.file).write_bytes(content)
    files = []
    for name, data in beside.items():
        (folder / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        files.append(
            {"name": name, "digest": f"sha256:{digest}", "size": len(data), "key": f"scorer/sha256-{digest}.bin"}
        )
    digest = hashlib.sha256(content).hexdigest()
    return Artefact.model_validate(
        {
            "format": Format.ONNX,
            "digest": f"sha256:{digest}",
            "size": len(content),
            "key": f"scorer/sha256-{digest}.onnx",
            "files": tuple(files),
        }
    )


def load(folder: Path, artefact: Artefact, large: int = 0) -> Any:
    return load_files(folder, artefact, large, tensor=128)


def test_a_model_answers_the_same_wherever_its_tensors_are(tmp_path: Path) -> None:
    content = network_model(64, 32, 10)
    given = {"pixels": np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)}
    artefact = laid_out(tmp_path, content)
    whole = load(tmp_path, artefact, large=1 << 30)
    mapped = load(tmp_path, artefact)
    assert (mapped.inputs, mapped.outputs) == (whole.inputs, whole.outputs)
    np.testing.assert_allclose(mapped.run(given, ["scores"])[0], whole.run(given, ["scores"])[0], rtol=1e-5)


def test_a_tensor_that_says_itself_that_it_is_inside_is_mapped_as_well(tmp_path: Path) -> None:
    model = load_model_from_string(network_model(64, 32, 10))
    for tensor in model.graph.initializer:
        tensor.data_location = TensorProto.DEFAULT
    artefact = laid_out(tmp_path, model.SerializeToString())
    assert load(tmp_path, artefact).run({"pixels": np.zeros((2, 64), np.float32)}, ["scores"])[0].shape == (2, 10)


def test_what_is_small_stays_in_the_outline_and_what_is_large_does_not(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(network_model(64, 32, 10))
    written = load_model_from_string(outline(tmp_path / "model.onnx", 128))
    kept = {tensor.name: bool(tensor.raw_data) for tensor in written.graph.initializer}
    assert kept == {"weight0": False, "bias0": False, "weight1": False, "bias1": True}
    assert len(written.SerializeToString()) < 1000
    assert outline(tmp_path / "model.onnx", 1 << 20) == (tmp_path / "model.onnx").read_bytes()


def test_files_beside_it_are_taken_as_well(tmp_path: Path) -> None:
    value, halves = helper.make_tensor_value_info, np.full((SIZE, SIZE), 0.5, np.float32)
    model = load_model_from_string(layers_model(1, SIZE, "weights")[0])
    content = onnx_model(
        [*model.graph.node, helper.make_node("MatMul", ["h0", "last"], ["y"])],
        [value("x", TensorProto.FLOAT, ["rows", SIZE])],
        [value("y", TensorProto.FLOAT, ["rows", SIZE])],
        [*model.graph.initializer, numpy_helper.from_array(halves, "last")],
    )
    artefact = laid_out(tmp_path, content, weights=np.eye(SIZE, dtype=np.float32).tobytes())
    loaded = load(tmp_path, artefact)
    np.testing.assert_array_equal(loaded.run({"x": np.ones((1, SIZE), np.float32)}, ["y"])[0], [[SIZE / 2] * SIZE])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a text", "the model is no ONNX file: it ends in the middle of a field"),
        (network_model(64, 32, 10)[:-10], "the model is no ONNX file: it ends in the middle of a field"),
        (layers_model(1, SIZE, "weights")[0], "keeps tensors outside its file"),
        (b"\x08\x08", "cannot be run by ONNX Runtime"),
    ],
)
def test_what_cannot_be_served_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    artefact = laid_out(tmp_path, content)
    with pytest.raises(StartError, match=reason):
        load(tmp_path, artefact)


def test_a_file_of_another_content_than_its_digest_is_refused(tmp_path: Path) -> None:
    artefact = laid_out(tmp_path, network_model(64, 32, 10))
    (tmp_path / "model.onnx").write_bytes(network_model(64, 33, 10))
    with pytest.raises(StartError, match=f"expected {artefact.digest}"):
        load(tmp_path, artefact)
