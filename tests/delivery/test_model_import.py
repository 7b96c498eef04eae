"""`stellwerk model import`: files of a model made elsewhere, by a real store, up to the release."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from infra.contract.release import Release, Releases
from tests.support.checkout import MODEL, Checkout
from tests.support.engine import FakeEngine
from tests.support.onnx_models import copy_model, layers_model, network_model
from tests.support.session import Command
from tests.support.stores import ObjectStores

SERVING = f"registry.example/serving@sha256:{'ab' * 32}"
SIZE = 32


@pytest.fixture(autouse=True)
def applied(pulumi: FakeEngine) -> None:
    pulumi.known.add("dev")
    pulumi.stack_outputs = {"images": {"serving": SERVING}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose matrices are in `weights.bin` beside it."""
    content, size = layers_model(2, SIZE, "weights.bin")
    (tmp_path / "scorer.onnx").write_bytes(content)
    (tmp_path / "weights.bin").write_bytes(np.eye(SIZE, dtype=np.float32).tobytes() * 2)
    assert (tmp_path / "weights.bin").stat().st_size == size
    return tmp_path / "scorer.onnx"


def released(releases: Releases, out: str) -> Release:
    return releases.load(MODEL, Path(out.strip()).stem)


def with_data(model: Path) -> list[str]:
    return ["model", "import", MODEL, "--file", str(model), "--data-file", str(model.with_name("weights.bin"))]


def test_a_model_with_data_beside_it_becomes_a_release(
    model: Path, stellwerk: Command, stores: ObjectStores, releases: Releases
) -> None:
    code, out, err = stellwerk(*with_data(model), "--from", "hub.example/scorer", "--note", "a trial")
    assert code == 0, err
    release = released(releases, out)
    (file,) = release.artefact.files
    assert file.name == "weights.bin"
    for path, item in ((model, release.artefact), (model.with_name("weights.bin"), file)):
        content = path.read_bytes()
        assert (item.digest, item.size) == (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
        assert stores.get("dev", item.key) == content
    assert [(tensor.name, tensor.shape) for tensor in release.interface.inputs] == [("x", (-1, SIZE))]
    assert release.origin is not None
    assert (release.origin.imported.from_, release.origin.imported.note) == ("hub.example/scorer", "a trial")
    assert (release.evaluation, release.training, release.run, release.data) == (None, None, None, None)
    assert "has no evaluation, as no --examples were given; refused by test, prod" in err
    assert sorted(path.name for path in model.parent.glob(".stellwerk-*")) == []


def test_the_same_import_again_moves_nothing(model: Path, stellwerk: Command, stores: ObjectStores) -> None:
    _, first, _ = stellwerk(*with_data(model))
    code, again, err = stellwerk(*with_data(model))
    assert (code, again) == (0, first)
    assert len(stores.keys("dev")) == 2, err


def test_other_weights_make_another_release(
    model: Path, stellwerk: Command, stores: ObjectStores, releases: Releases
) -> None:
    _, first, _ = stellwerk(*with_data(model))
    model.with_name("weights.bin").write_bytes(bytes(2 * 4 * SIZE * SIZE))
    _, second, _ = stellwerk(*with_data(model))
    one, other = released(releases, first), released(releases, second)
    assert one.artefact.digest == other.artefact.digest
    assert one.artefact.files != other.artefact.files
    assert len(stores.keys("dev")) == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.pkl", "pickles are not imported: a pickle runs any code as it is opened"),
        ("model.pt", "pickles are not imported"),
        ("model.joblib", "pickles are not imported"),
        ("model.h5", "not an ONNX file"),
        ("model.pt2", "a model of the format pt2, but is none"),
        ("model.safetensors", "a model of the format safetensors, but is none"),
        ("missing.onnx", "No such file"),
        ("model.onnx", "the model cannot be served"),
    ],
)
def test_what_cannot_be_served_is_refused_and_nothing_is_published(
    name: str, reason: str, tmp_path: Path, stellwerk: Command, stores: ObjectStores, releases: Releases
) -> None:
    if name != "missing.onnx":
        (tmp_path / name).write_bytes(b"no model")
    before = releases.ids(MODEL)
    code, _, err = stellwerk("model", "import", MODEL, "--file", str(tmp_path / name))
    assert code == 1
    assert reason in err
    assert (releases.ids(MODEL), stores.keys("dev")) == (before, [])


def test_data_that_the_model_needs_and_nobody_gave_is_named(
    model: Path, stellwerk: Command, stores: ObjectStores
) -> None:
    code, _, err = stellwerk("model", "import", MODEL, "--file", str(model))
    assert code == 1
    assert "keeps tensors outside its file" in err
    assert stores.keys("dev") == []


def rows(model: str, answers: float, outputs: str = "y") -> dict[str, Any]:
    """An examples document of an identity: two rows of ones, and their answers."""
    return {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Examples",
        "model": model,
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, SIZE], "data": [1.0] * (2 * SIZE)}],
        "outputs": [{"name": outputs, "datatype": "FP32", "shape": [2, SIZE], "data": [answers] * (2 * SIZE)}],
        "labels": [[1.0] * SIZE] * 2,
    }


def test_rows_are_an_evaluation_by_the_task(
    model: Path, stellwerk: Command, stores: ObjectStores, releases: Releases, tmp_path: Path
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(rows("scorer", 1.0, "h1")))
    arguments = [*with_data(model), "--examples", str(tmp_path / "rows.json"), "--task", "regression"]
    arguments[2] = "scorer"
    code, out, err = stellwerk(*arguments)
    assert code == 0, err
    release = releases.load("scorer", Path(out.strip()).stem)
    assert release.evaluation is not None
    assert release.evaluation.metrics["mae"] == 0
    assert release.examples is not None
    assert json.loads(stores.get("dev", release.examples.key))["model"] == "scorer"
    (tmp_path / "rows.json").write_text(json.dumps(rows("scorer", 2.0, "h1")))
    code, _, err = stellwerk(*arguments)
    assert code == 1
    assert "the model's answers differ by 1 from those in the file" in err


def test_rows_of_other_inputs_than_the_models_are_refused(
    stellwerk: Command, project: Checkout, stores: ObjectStores, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(network_model(64, 8, 10))
    (tmp_path / "rows.json").write_text(json.dumps(rows(MODEL, 1.0)))
    code, _, err = stellwerk(
        "model", "import", MODEL, "--file", str(tmp_path / "model.onnx"), "--examples", str(tmp_path / "rows.json")
    )
    assert code == 1
    assert "its inputs are {'x': 'FP32'}, the model's are {'pixels': 'FP32'}" in err
    assert stores.keys("dev") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("given,target\n1,1\n2.5,2\n-1,-1\n", None),
        ("given,y\n1,1\n", "there is no column target; its columns are given, y"),
        ("given,target\n1,1\none,1\n", "rows.csv:3: given is 'one', allowed is a value of FP32"),
        ("given,target\n1,yes\n", "rows.csv:2: the target is 'yes', allowed: a number"),
        ("given,target\n", "it has no rows"),
    ],
    ids=["happy", "no target", "no number", "no label", "no rows"],
)
def test_a_table_is_an_evaluation(
    text: str, said: str | None, stellwerk: Command, stores: ObjectStores, releases: Releases, tmp_path: Path
) -> None:
    (tmp_path / "same.onnx").write_bytes(copy_model(TensorProto.FLOAT))
    (tmp_path / "rows.csv").write_text(text)
    rows, file = str(tmp_path / "rows.csv"), str(tmp_path / "same.onnx")
    code, out, err = stellwerk("model", "import", "same", "--file", file, "--examples", rows, "--task", "regression")
    if said is not None:
        assert code == 1
        assert said in err
        assert stores.keys("dev") == []
        return
    assert code == 0, err
    release = releases.load("same", Path(out.strip()).stem)
    assert release.evaluation is not None
    assert release.evaluation.metrics["mae"] == pytest.approx(0.5 / 3)
    assert release.evaluation.parity is None
