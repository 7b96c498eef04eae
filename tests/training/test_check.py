"""The contract suite of a model: each check passes for a model that holds, and names the line where one does not."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.support import linear
from tests.support.models import place
from training.check import Check, suite
from training.document import Model

CHECKS = ["code", "data", "framework", "fit", "export", "interface", "parity", "rows", "gates", "determinism"]
Edit = tuple[str, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, as its image has it."""
    return place(tmp_path / "model")


def checked(folder: Path, *edits: Edit) -> list[Check]:
    """Return the checks of the folder after edits of its `train.py`."""
    file = folder / "train.py"
    text = file.read_text()
    for before, after in edits:
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text)
    return list(suite(folder, "models/team", lambda _: linear))


def test_a_model_that_holds_passes_every_check(folder: Path) -> None:
    checks = checked(folder)
    assert [check.check for check in checks if check.passed] == CHECKS
    values = {check.check: check.value for check in checks}
    assert values["code"] == "load, fit"
    assert "1423 rows to train on, 374 held out, sha256:" in values["data"]
    assert re.search(r"\b5\d\d rows, epochs 1, learning_rate 0.001, hidden 1, batch_size 1, seed 7: ", values["fit"])
    assert values["interface"] == "pixels to scores"
    assert "not judged" in values["gates"]


FAIL = "    raise ValueError('no such file')\n"


@pytest.mark.parametrize(
    ("check", "edit", "reason"),
    [
        ("code", ("def fit(", "def fitt("), "it has no function fit"),
        ("code", ("import numpy as np", "import numpy as np\nimport nowhere"), "ModuleNotFoundError: No module named"),
        ("data", ("    bunch =", f"{FAIL}    bunch ="), "ValueError: no such file"),
        ("data", ("bunch.data.astype", "-bunch.data.astype"), "pixels"),
        ("data", ('"digit": bunch', '"digits": bunch'), "digit"),
        ("data", ("    bunch =", "    raise SystemExit(0)\n    bunch ="), "SystemExit: 0"),
        ("fit", ("    inputs =", f"{FAIL}    inputs ="), "ValueError: no such file"),
        ("interface", ("8.0 * np.eye(10)", "8.0 * np.eye(11)"), "exported file are scores FP32 [-1, 11]"),
        ("parity", ("bias=solution[-1])", "bias=solution[-1], error=1.0)"), "scores differs by 1"),
        ("determinism", ("bias=solution[-1])", "bias=np.random.default_rng().normal(size=10).astype(np.float32))"),
         "two fits with the same seed gave sha256:"),
    ],
)  # fmt: skip
def test_the_first_check_that_fails_is_the_last_one(check: str, edit: Edit, reason: str, folder: Path) -> None:
    *passed, failed = checked(folder, edit)
    assert [check.check for check in passed] == CHECKS[: CHECKS.index(check)]
    assert (failed.check, failed.passed) == (check, False)
    assert reason in failed.value


def line(folder: Path, text: str) -> str:
    lines = (folder / "train.py").read_text().splitlines()
    return f"models/team/train.py:{next(number for number, line in enumerate(lines, 1) if text in line)}"


def test_the_line_of_the_models_own_code_is_named(folder: Path) -> None:
    deeper = "def deeper(values):\n    return values[10**6]\n\n\n"
    call = ("    inputs =", "    deeper(rows.target)\n    inputs =")
    failed = checked(folder, call, ("def fit", f"{deeper}def fit"))
    assert failed[-1].places == [line(folder, "    deeper(rows"), line(folder, "return values[10**6]")]


@pytest.mark.parametrize(
    ("edit", "function"),
    [(("bunch.data.astype", "-bunch.data.astype"), "load"), (("8.0 * np.eye(10)", "8.0 * np.eye(11)"), "fit")],
)
def test_the_function_is_named_whose_result_is_wrong(edit: Edit, function: str, folder: Path) -> None:
    failed = checked(folder, edit)
    assert failed[-1].places == [line(folder, f"def {function}(")]


def test_a_line_that_is_no_python_is_named(folder: Path) -> None:
    failed = checked(folder, ("    bunch = ", "    bunch == = "))
    assert failed[-1].places == [line(folder, "bunch == = ")]


class Centred:
    """The framework of tests with models that take the mean of all rows of a request off each answer."""

    prepare = staticmethod(linear.prepare)

    def answers(
        self, fitted: linear.Layer, model: Model, inputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        given = linear.answers(fitted, model, inputs)
        return {name: values - values.mean(axis=0) for name, values in given.items()}

    def export(self, fitted: linear.Layer, model: Model, sample: Mapping[str, NDArray[Any]], path: Path) -> None:
        linear.export(fitted, model, sample, path)
        made = onnx.load_model(path)
        made.graph.node[0].output[0] = "raw"
        made.graph.node.append(helper.make_node("ReduceMean", ["raw"], ["mean"], axes=[0]))
        made.graph.node.append(helper.make_node("Sub", ["raw", "mean"], ["scores"]))
        onnx.save_model(made, path)


def test_an_answer_that_depends_on_the_other_rows_is_refused(folder: Path) -> None:
    *_, failed = suite(folder, "models/team", lambda _: Centred())
    assert failed.check == "rows"
    assert failed.value.startswith("a row is answered otherwise alone than among others")


def test_a_gate_of_a_metric_that_is_not_measured_is_refused(folder: Path) -> None:
    document = folder / "model.json"
    document.write_text(document.read_text().replace('"accuracy"', '"accurracy"'))
    *_, failed = checked(folder)
    assert (failed.check, failed.value.partition(";")[0]) == ("gates", "gates name accurracy")
