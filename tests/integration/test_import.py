"""A model made elsewhere, with data beside it, from its files to an answer, and to the next environment."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.onnx_models import layers_model
from tests.support.project import Project, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

MODEL, SIZE = "scorer", 64
PLACES = ("dev", "test")


@pytest.mark.lane("alone")
def test_an_imported_model_with_data_beside_it_answers(project: Project, tmp_path: Path) -> None:
    content, _ = layers_model(2, SIZE, "weights.bin")
    (tmp_path / "scorer.onnx").write_bytes(content)
    (tmp_path / "weights.bin").write_bytes((2 * np.eye(SIZE, dtype=np.float32)).tobytes() * 2)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, SIZE], "data": [1.0] * SIZE}
    (tmp_path / "request.json").write_text(json.dumps({"inputs": [tensor]}))
    before = {name: project.stack_file(name).read_text() for name in PLACES}
    files = ("--file", str(tmp_path / "scorer.onnx"), "--data-file", str(tmp_path / "weights.bin"))
    try:
        release = project.ask("model", "import", MODEL, *files)["release"]
        for name in PLACES:
            project.edit(name, _serve)
        in_parallel(*(partial(project.up, name) for name in PLACES))
        project.stellwerk("promote", MODEL, "--to", "dev", "--release", release, "--yes")
        refused = project.stellwerk("promote", MODEL, "--to", "test", "--yes", ok=False)
        assert "imported without an evaluation" in refused.stderr
        project.edit("test", _accept)
        project.stellwerk("promote", MODEL, "--to", "test", "--yes")
        for name in PLACES:
            answer = project.ask("predict", MODEL, "--env", name, "--input", str(tmp_path / "request.json"))
            assert answer["outputs"][0]["data"] == [4.0] * SIZE
            status = json.loads(project.stellwerk("status", "--json", ok=False).stdout)
            assert status["environments"][name]["models"][MODEL]["artefact"] == "intact"
    finally:
        for name, text in before.items():
            project.write(name, text)
        in_parallel(*(partial(project.up, name) for name in PLACES))
        shutil.rmtree(project.release_file("any", MODEL).parent, ignore_errors=True)


def _serve(config: Any) -> None:
    config["stellwerk:models"][MODEL] = {"release": None, "previous": None, "replicas": 1}


def _accept(config: Any) -> None:
    config["stellwerk:models"][MODEL]["acceptsUnevaluated"] = True
