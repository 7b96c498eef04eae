"""Files that a team has already: a large ONNX file, one that its own code opens, a table in the store, a test set."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.delivery.test_formats import safetensors, tensor
from tests.integration.test_own_model import MODEL as TABULAR
from tests.integration.test_own_model import OWN as TABULAR_FOLDER
from tests.integration.test_own_model import write_table
from tests.support.memory_group import memory_group
from tests.support.onnx_models import layers_model
from tests.support.project import ENVIRONMENTS, ROOT, Project

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]
FIRST, SECOND = PATH = ENVIRONMENTS[:2]
LARGE, HOOKED = "heavy", "halves"
LAYERS, WIDTH = 5, 4096
# Less than the file has, and enough for the command and the engine that it asks.
COMMAND = 288 << 20
# Of a model's own code: more than its pod has.
_GREEDY = "\n_HELD = np.ones(1 << 28)\n"


@pytest.fixture
def applied(started: Project) -> Iterator[Project]:
    """The first two environments, which serve nothing else; whatever a test adds is taken away again."""
    before = {name: started.stack_file(name).read_text() for name in PATH}
    for name in PATH:
        started.up(name)
    yield started
    for name, text in before.items():
        started.stack_file(name).write_text(text)
        started.up(name)
    for model in (LARGE, HOOKED, TABULAR):
        for folder in ("models", "stacks/releases", "stacks/testsets", "stacks/evidence"):
            shutil.rmtree(started.root / folder / model, ignore_errors=True)


def serve(project: Project, environment: str, model: str, **values: Any) -> None:
    """Give the environment an entry of the model, or other values of it."""

    def change(config: Any) -> None:
        config["stellwerk:models"].setdefault(model, {"release": None}).update(values)

    project.edit(environment, change)


def ask(project: Project, environment: str, model: str, folder: Path, values: list[float]) -> list[float]:
    """Return what the endpoint answers to one row of `x`."""
    given = {"name": "x", "datatype": "FP32", "shape": [1, len(values)], "data": values}
    (folder / "request.json").write_text(json.dumps({"inputs": [given]}))
    answer = project.ask("predict", model, "--env", environment, "--input", str(folder / "request.json"))
    numbers: list[float] = answer["outputs"][0]["data"]
    return numbers


def write_large(file: Path) -> None:
    """Write an ONNX file of 336 MB that doubles its input."""
    model = onnx.load_model_from_string(layers_model(LAYERS, WIDTH, "none")[0])
    for number, weight in enumerate(model.graph.initializer):
        del weight.external_data[:]
        weight.data_location = onnx.TensorProto.DEFAULT
        weight.raw_data = (np.eye(WIDTH, dtype=np.float32) * (2 if number == 0 else 1)).tobytes()
    file.write_bytes(model.SerializeToString())


def test_one_file_of_300_mb_is_served_where_there_is_room_for_it(applied: Project, tmp_path: Path) -> None:
    write_large(tmp_path / "heavy.onnx")
    assert (tmp_path / "heavy.onnx").stat().st_size > 300_000_000
    with memory_group(COMMAND) as group:
        done = applied.run(*group, applied.command, "model", "import", LARGE, "--file", str(tmp_path / "heavy.onnx"))
    assert done.returncode == 0, done.stderr[-3000:]
    release = Path(done.stdout.strip().splitlines()[-1]).stem
    serve(applied, FIRST, LARGE)
    applied.up(FIRST)
    refused = applied.stellwerk("promote", LARGE, "--to", FIRST, "--release", release, "--yes", ok=False)
    enough = re.search(r'resources\.memory is "512Mi"; allowed: at least "(\w+)"', refused.stderr)
    assert enough, refused.stderr
    for name in PATH:
        serve(applied, name, LARGE, resources={"cpu": "50m", "memory": enough[1]}, acceptsUnevaluated=True)
        applied.up(name)
    applied.stellwerk("promote", LARGE, "--to", FIRST, "--release", release, "--yes")
    applied.stellwerk("promote", LARGE, "--to", SECOND, "--yes")
    values = [float(number % 7) for number in range(WIDTH)]
    for name in PATH:
        assert ask(applied, name, LARGE, tmp_path, values) == [2 * value for value in values]
    # Each preview says it to who edits the file by hand.
    serve(applied, FIRST, LARGE, resources={"cpu": "50m", "memory": "512Mi"})
    preview = applied.pulumi("preview", "--stack", FIRST, ok=False)
    assert preview.returncode != 0
    assert f'at least "{enough[1]}"' in preview.stdout + preview.stderr


def test_a_file_behind_code_of_ones_own_is_served_and_one_without_room_says_so(
    applied: Project, tmp_path: Path
) -> None:
    folder = applied.root / "models" / HOOKED
    shutil.copytree(ROOT / "tests/support/team/own" / HOOKED, folder)
    (folder / "model").mkdir()
    factors = np.array([0.5, 1, 2, 4], np.float32)
    content = safetensors({"factors": tensor(0, 16, "F32", 4)}, factors.tobytes())
    (folder / "model" / "model.safetensors").write_bytes(content)
    for name in PATH:
        serve(applied, name, HOOKED, acceptsUnevaluated=True)
        applied.up(name)
    release = applied.ask("model", "import", HOOKED)["release"]
    applied.stellwerk("promote", HOOKED, "--to", FIRST, "--release", release, "--yes")
    applied.stellwerk("promote", HOOKED, "--to", SECOND, "--yes")
    for name in PATH:
        assert ask(applied, name, HOOKED, tmp_path, [1, 2, 3, 4]) == [0.5, 2, 6, 16]
    (folder / "serve.py").write_text((folder / "serve.py").read_text() + _GREEDY)
    stale = applied.stellwerk("model", "import", HOOKED, ok=False)
    assert f"run `pulumi up --stack {FIRST}`, and import it again" in stale.stderr
    applied.up(FIRST)
    greedy = applied.ask("model", "import", HOOKED)["release"]
    failed = applied.stellwerk("promote", HOOKED, "--to", FIRST, "--release", greedy, "--yes", ok=False)
    assert failed.returncode != 0
    assert "OOMKilled: it needs more memory than its limit of 512Mi" in failed.stderr, failed.stderr
    assert applied.values(FIRST)["stellwerk:models"][HOOKED]["release"] == release
    assert ask(applied, FIRST, HOOKED, tmp_path, [1, 2, 3, 4]) == [0.5, 2, 6, 16]


def write_test_set(table: Path, file: Path, shift: float) -> None:
    """Write some rows of a table, with their right answers moved by `shift`."""
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))[::4]
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(row | {"progression": float(row["progression"]) + shift} for row in rows)


def test_a_table_in_the_store_is_trained_from_and_a_test_set_decides_what_is_promoted(
    applied: Project, tmp_path: Path
) -> None:
    write_table(tmp_path / "rows.csv")
    line = applied.stellwerk("data", "push", "people", str(tmp_path / "rows.csv"), "--env", FIRST).stdout
    folder = applied.root / "models" / TABULAR
    folder.mkdir()
    (folder / "model.yaml").write_text((TABULAR_FOLDER / "model.yaml").read_text() + line)
    # Inputs and target are the table's, by name.
    code = (TABULAR_FOLDER / "train.py").read_text()
    (folder / "train.py").write_text(code[: code.index("def load")] + code[code.index("def fit") :])
    for name in PATH:
        serve(applied, name, TABULAR)
    applied.edit(FIRST, lambda config: config.setdefault("stellwerk:training", {}).update({TABULAR: {}}))
    for name in PATH:
        applied.up(name)
    job = applied.ask("train", TABULAR, "--wait")["job"]
    identity = applied.ask("release", TABULAR, "--job", job)["release"]
    release = applied.releases.load(TABULAR, identity)
    assert release.data is not None
    assert str(release.data.source) in line
    applied.stellwerk("promote", TABULAR, "--to", FIRST, "--release", identity, "--yes")
    versions = {}
    for name, shift in (("right", 0.0), ("wrong", 500.0)):
        write_test_set(tmp_path / "rows.csv", tmp_path / f"{name}.csv", shift)
        pushed = ("data", "push", TABULAR, str(tmp_path / f"{name}.csv"), "--test-set", "--env", SECOND)
        versions[name] = Path(applied.stellwerk(*pushed).stdout.strip()).stem
    serve(applied, SECOND, TABULAR, testSet=versions["wrong"])
    refused = applied.stellwerk("promote", TABULAR, "--to", SECOND, "--yes", ok=False)
    assert re.search(r"gates not passed: r2 is -\d", refused.stderr), refused.stderr
    serve(applied, SECOND, TABULAR, testSet=versions["right"])
    applied.stellwerk("promote", TABULAR, "--to", SECOND, "--yes")
    answer = applied.ask("predict", TABULAR, "--env", SECOND, "--all-held-out")
    assert answer["release"] == identity
    for name, passed in (("right", "true"), ("wrong", "false")):
        evidence = applied.root / f"stacks/evidence/{TABULAR}/{identity}/{SECOND}-testset-{versions[name]}.yaml"
        assert f"passed: {passed}" in evidence.read_text()
