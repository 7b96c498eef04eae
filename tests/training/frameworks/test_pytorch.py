"""The adapter of PyTorch: what it exports computes what the module says, in the same bytes for the same weights.

PyTorch is in the images of models, not in the development environment: without it nothing of this runs.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.contract.examples import Examples
from tests.support.models import LATER, place, training_data
from tests.training.test_data import MODEL as SMALL
from training.author import Run
from training.document import Column, Model
from training.errors import TrainingError
from training.export import answers_of, canonical, compare, make_canonical
from training.exported import read_exported
from training.frameworks import adapter
from training.pipeline import rehearse

torch = pytest.importorskip("torch", reason="PyTorch is in the images of models, not in this environment")
pytorch = adapter("pytorch")
MODEL = replace(
    SMALL,
    inputs=(Column("numbers", "FP32", (3,)), Column("factor", "FP32"), Column("word", "INT64", (-1,))),
    outputs=(Column("sums", "FP32", (2,)), Column("length", "INT64")),
)
RANDOM = np.random.default_rng(1)


def rows(count: int, letters: int = 5) -> dict[str, Any]:
    return {
        "numbers": RANDOM.normal(size=(count, 3)).astype(np.float32),
        "factor": RANDOM.normal(size=count).astype(np.float32),
        "word": RANDOM.integers(0, 9, (count, letters)),
    }


class Sums(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, numbers: Any, factor: Any, word: Any) -> Any:
        return self.dropout(self.layer(numbers)) * factor[:, None], word.sum(dim=1)


def fitted(seed: int = 3) -> Any:
    pytorch.prepare("cpu", seed)
    return Sums()


def exported(module: Any, path: Path, model: Model = MODEL) -> bytes:
    pytorch.export(module, model, rows(2), path / "model.onnx")
    return canonical((path / "model.onnx").read_bytes(), model.name)


def test_several_inputs_and_outputs_with_open_sizes(tmp_path: Path) -> None:
    module = fitted()
    content = exported(module, tmp_path)
    for count, letters in ((1, 5), (7, 3), (2500, 1)):
        given = rows(count, letters)
        parity = compare(pytorch.answers(module, MODEL, given), answers_of(content, MODEL, given))
        assert (parity.rows, parity.max_abs_difference < 1e-5) == (count, True)


def test_equal_weights_give_equal_bytes_even_in_another_process(tmp_path: Path) -> None:
    first = exported(fitted(), tmp_path)
    assert exported(fitted(), tmp_path) == first
    assert exported(fitted(seed=4), tmp_path) != first
    code = (
        "import sys; from pathlib import Path; from tests.training.frameworks.test_pytorch import exported, fitted;"
        "sys.stdout.buffer.write(exported(fitted(), Path(sys.argv[1])))"
    )
    other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True)
    assert other.stdout == first
    assert str(tmp_path).encode() not in first and b"test_pytorch" not in first


def test_a_large_model_has_its_tensors_in_a_file_beside_it(tmp_path: Path) -> None:
    module = torch.nn.Linear(64, 32)
    model = replace(MODEL, inputs=(Column("x", "FP32", (64,)),), outputs=(Column("y", "FP32", (32,)),))
    given = {"x": RANDOM.normal(size=(9, 64)).astype(np.float32)}
    written = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        pytorch.export(module, model, given, tmp_path / name / "model.onnx", 32 * 64 * 4)
        written.append(read_exported(tmp_path / name))
        make_canonical(written[-1].path, "digits")
    first, second = written
    assert set(first.beside) == {"model.onnx.data"}
    assert first.path.stat().st_size < 32 * 64 * 4 == first.beside["model.onnx.data"].stat().st_size
    assert first.digests == second.digests
    compare(pytorch.answers(module, model, given), answers_of(first.path, model, given))


def test_what_is_not_a_module_is_named() -> None:
    with pytest.raises(TrainingError, match=r"`fit` has returned dict; with PyTorch it returns a torch\.nn\.Module"):
        pytorch.answers({}, MODEL, rows(1))


def test_more_answers_than_outputs_are_named() -> None:
    with pytest.raises(TrainingError, match="answers with 2 values, the document names the outputs sums"):
        pytorch.answers(fitted(), replace(MODEL, outputs=MODEL.outputs[:1]), rows(1))


def test_a_module_for_a_fixed_number_of_rows_is_refused(tmp_path: Path) -> None:
    class Fixed(Sums):
        def forward(self, numbers: Any, factor: Any, word: Any) -> Any:
            return super().forward(numbers.reshape(2, 3), factor, word)

    with pytest.raises(TrainingError, match="export: PyTorch cannot export this module with an open number of rows"):
        exported(Fixed(), tmp_path)


def test_without_a_gpu_cuda_is_refused() -> None:
    if torch.cuda.is_available():
        pytorch.prepare("cuda", 1)
        assert Run("cuda", print).device == "cuda"
    else:
        with pytest.raises(TrainingError, match="STELLWERK_DEVICE is 'cuda' and no CUDA device is visible"):
            pytorch.prepare("cuda", 1)


def test_a_second_model_is_one_more_folder(tmp_path: Path) -> None:
    """A table of columns, another task, groups, slices, a metric of its own: nothing of it stands in the framework."""
    folder = place(tmp_path / "model", "prices", LATER)
    product = rehearse(folder, tmp_path / "first")
    assert product.content == rehearse(folder, tmp_path / "second").content
    measured = product.measured
    assert {"mae", "rmse", "r2", "dearest", "r2/region/north", "mae/region/south"} <= set(measured.metrics)
    assert measured.metrics["r2"] > 0.9
    dataset = training_data("prices", LATER)
    assert not set(dataset.train.columns["street"]) & set(dataset.held_out.columns["street"])
    examples = json.loads((tmp_path / "first" / "examples.json").read_text())
    assert [values["datatype"] for values in examples["inputs"]] == ["FP32", "INT64", "BOOL"]
    assert Examples.model_validate_json(json.dumps(examples)).rows == len(dataset.held_out)
