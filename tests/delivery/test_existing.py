"""Models of the framework `none`, an existing file: checked, imported by its document, and never trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.composition.hooks import digest
from infra.contract.model import Models
from infra.contract.problems import ConfigError
from infra.contract.release import Releases
from infra.values import from_file
from tests.delivery.test_formats import DATA, GOOD, TENSORS, safetensors
from tests.delivery.test_model_import import SERVING, rows
from tests.delivery.test_pickles import PICKLES
from tests.support.checkout import Checkout
from tests.support.engine import FakeEngine
from tests.support.onnx_models import layers_model
from tests.support.session import Command
from tests.support.stores import ObjectStores

SIZE = 32
OWN = f"registry.example/serve-scorer@sha256:{'cd' * 32}"
DOCUMENT = f"""\
apiVersion: stellwerk.dev/v2
kind: Model
name: scorer
description: twice an identity
owner: ml-engineers
framework: none
task: regression
inputs:
  x: {{datatype: FP32, shape: [{SIZE}]}}
outputs:
  h1: {{datatype: FP32, shape: [{SIZE}]}}
target: {{name: y, datatype: FP32, shape: [{SIZE}]}}
gates:
- {{metric: mae, operator: "<=", threshold: 0.1}}
"""


@pytest.fixture(autouse=True)
def applied(pulumi: FakeEngine) -> None:
    pulumi.known.add("dev")
    pulumi.stack_outputs = {"images": {"serving": SERVING, "serve-scorer": OWN}}


@pytest.fixture
def folder(project: Checkout) -> Path:
    """The model's folder, with its files and rows."""
    made = project.root / "models" / "scorer"
    (made / "model").mkdir(parents=True)
    (made / "model.yaml").write_text(DOCUMENT)
    (made / "model" / "model.onnx").write_bytes(layers_model(2, SIZE, "weights.bin")[0])
    (made / "model" / "weights.bin").write_bytes(np.eye(SIZE, dtype=np.float32).tobytes() * 2)
    (made / "examples.json").write_text(json.dumps(rows("scorer", 1.0, "h1")))
    return made


def edit(folder: Path, before: str, after: str) -> None:
    text = (folder / "model.yaml").read_text()
    assert before in text
    (folder / "model.yaml").write_text(text.replace(before, after))


def checked(stellwerk: Command) -> list[tuple[str, bool, str]]:
    _, out, _ = stellwerk("model", "check", "scorer", "--json")
    return [(one["check"], one["passed"], one["value"]) for one in json.loads(out)["checks"]]


def test_it_is_checked_without_a_framework(folder: Path, stellwerk: Command) -> None:
    assert checked(stellwerk) == [
        ("document", True, "none, regression"),
        ("interface", True, "x to h1"),
        ("examples", True, "2 rows: mae 0, rmse 0"),
    ]
    (folder / "examples.json").unlink()
    assert checked(stellwerk)[2][2].startswith("none: neither models/scorer/examples.json nor")
    shutil.rmtree(folder / "model")
    assert checked(stellwerk)[1:] == [
        ("interface", True, "no folder models/scorer/model with the file; `stellwerk model import` looks at it")
    ]


@pytest.mark.parametrize(
    ("before", "after", "check", "reason"),
    [
        (
            "x: {datatype: FP32",
            "x: {datatype: FP64",
            "interface",
            "its inputs are x FP64 [-1, 32], those of the model's",
        ),
        ("  h1:", "  h2:", "interface", "its outputs are h2 FP32 [-1, 32], those of the model's file h1 FP32 [-1, 32]"),
        ("threshold: 0.1", "threshold: -1", "examples", "gate not passed: mae is 0.0000, must be <= -1"),
        ("framework: none", "framework: keras", "document", "training, which every model that is trained has"),
        ("task:", "parameters: {seed: {type: integer, default: 1, description: d}}\ntask:", "document", "no training"),
    ],
)
def test_what_does_not_hold_is_named(
    before: str, after: str, check: str, reason: str, folder: Path, stellwerk: Command
) -> None:
    edit(folder, before, after)
    *_, (last, passed, value) = checked(stellwerk)
    assert (last, passed) == (check, False)
    assert reason in value


def test_its_own_files_are_imported(folder: Path, stellwerk: Command, stores: ObjectStores, releases: Releases) -> None:
    code, out, err = stellwerk("model", "import", "scorer", "--examples", str(folder / "examples.json"))
    assert code == 0, err
    release = releases.load("scorer", Path(out.strip()).stem)
    assert [file.name for file in release.artefact.files] == ["weights.bin"]
    assert release.evaluation is not None
    assert (release.evaluation.task, release.evaluation.gates[0].passed) == ("regression", True)
    # The document's task alone is allowed.
    arguments = ("model", "import", "scorer", "--examples", str(folder / "examples.json"), "--task", "forecasting")
    code, _, err = stellwerk(*arguments)
    assert code == 1
    assert "models/scorer/model.yaml says regression; leave --task away" in err


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("threshold: 0.1", "threshold: -1", "gate not passed: mae is 0.0000, must be <= -1.0; nothing is imported"),
        (
            "datatype: FP32, shape: [32]}\noutputs",
            "datatype: FP32, shape: [31]}\noutputs",
            "its inputs are x FP32 [-1, 31]",
        ),
    ],
)
def test_what_the_document_does_not_allow_is_not_imported(
    before: str, after: str, reason: str, folder: Path, stellwerk: Command, stores: ObjectStores, releases: Releases
) -> None:
    edit(folder, before, after)
    code, _, err = stellwerk("model", "import", "scorer", "--examples", str(folder / "examples.json"))
    assert code == 1
    assert reason in err
    assert (stores.keys("dev"), releases.ids("scorer")) == ([], [])


def test_without_files_one_has_to_be_given(folder: Path, stellwerk: Command, stores: ObjectStores) -> None:
    shutil.rmtree(folder / "model")
    code, _, err = stellwerk("model", "import", "scorer")
    assert code == 1
    assert "--file is needed: there is no folder models/scorer/model" in err


@pytest.mark.parametrize("pipeline", [{}, {"resources": {"cpu": "1", "memory": "1Gi"}}])
def test_nothing_trains_it(pipeline: dict[str, Any], folder: Path, project: Checkout, stellwerk: Command) -> None:
    code, _, err = stellwerk("train", "scorer")
    assert code == 1
    assert "framework: none is an existing file, which nothing trains; `stellwerk model import scorer` makes" in err

    def train(config: Any) -> None:
        config["training"]["scorer"] = pipeline

    project.edit("dev", train)
    with pytest.raises(ConfigError, match=r"Pulumi\.dev\.yaml:\d+: stellwerk:training\.scorer\n.*an existing file"):
        from_file("dev", project.root)


def build_hooks(folder: Path, pulumi: FakeEngine) -> None:
    """Give the model code of its own, with which dev has built its image."""
    (folder / "serve.py").write_text("def predict(inputs, folder):\n    return {'h1': inputs['x']}\n")
    pulumi.stack_outputs["hooks"] = {"serve-scorer": digest(Models(folder.parent), "scorer")}


def test_a_file_behind_hooks_has_the_documents_interface(
    folder: Path, stellwerk: Command, stores: ObjectStores, releases: Releases, pulumi: FakeEngine
) -> None:
    build_hooks(folder, pulumi)
    code, out, err = stellwerk("model", "import", "scorer")
    assert code == 0, err
    release = releases.load("scorer", Path(out.strip()).stem)
    assert (release.serving.image, release.evaluation) == (OWN, None)
    assert checked(stellwerk)[-1][0] == "interface"
    (folder / "serve.py").write_text("def predict(inputs, folder):\n    return {}\n")
    code, _, err = stellwerk("model", "import", "scorer")
    assert code == 1
    assert "dev has built no image serve-scorer with models/scorer/serve.py as it is here" in err


@pytest.mark.parametrize("name", sorted(GOOD))
def test_other_formats_have_the_documents_interface_and_the_models_own_image(
    name: str, folder: Path, stellwerk: Command, stores: ObjectStores, releases: Releases, pulumi: FakeEngine
) -> None:
    build_hooks(folder, pulumi)
    shutil.rmtree(folder / "model")
    (folder / "model" / "variables").mkdir(parents=True)
    (folder / "model" / name).write_bytes(GOOD[name])
    (folder / "model" / "variables" / "variables.index").write_bytes(b"index")
    assert "models/scorer/serve.py makes of the file's" in checked(stellwerk)[1][2]
    code, out, err = stellwerk("model", "import", "scorer")
    assert code == 0, err
    release = releases.load("scorer", Path(out.strip()).stem)
    assert release.serving.hooks == pulumi.stack_outputs["hooks"]["serve-scorer"]
    assert release.artefact.format.file == name
    assert release.artefact.key.endswith(name.rpartition(".")[2])
    assert [file.name for file in release.artefact.files] == ["variables/variables.index"]
    assert release.serving.image == OWN
    assert [(one.name, one.shape) for one in release.interface.inputs] == [("x", (-1, SIZE))]
    assert stores.get("dev", release.artefact.key) == GOOD[name]


def test_other_formats_need_a_document_hooks_and_no_rows(
    folder: Path, stellwerk: Command, stores: ObjectStores, pulumi: FakeEngine, tmp_path: Path
) -> None:
    file = tmp_path / "scorer.safetensors"
    file.write_bytes(safetensors(TENSORS, DATA))
    build_hooks(folder, pulumi)
    given = ("model", "import", "scorer", "--file", str(file))
    code, _, err = stellwerk(*given, "--examples", str(folder / "examples.json"))
    assert code == 1
    assert "this command runs ONNX files alone" in err
    assert pulumi.stack_outputs
    del pulumi.stack_outputs["hooks"]
    assert "dev has built no image serve-scorer with models/scorer/serve.py as it is here" in stellwerk(*given)[2]
    (folder / "model.yaml").unlink()
    assert "models/scorer/model.yaml: there is no such file" in stellwerk(*given)[2]
    (folder / "serve.py").unlink()
    assert "write models/scorer/serve.py with `predict`" in stellwerk(*given)[2]
    assert stores.keys("dev") == []


@pytest.mark.parametrize("name", ["weights.bin", "assets/a.txt"])
def test_a_pickle_of_any_name_is_refused(
    name: str, folder: Path, stellwerk: Command, stores: ObjectStores, releases: Releases
) -> None:
    (folder / "model" / "assets").mkdir()
    (folder / "model" / name).write_bytes(PICKLES["protocol 4"])
    code, _, err = stellwerk("model", "import", "scorer")
    assert code == 1
    assert f"{name}: not imported: it is a pickle, which runs any code as it is opened" in err
    assert stores.keys("dev") == []
