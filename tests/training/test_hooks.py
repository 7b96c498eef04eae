"""A model with `serve.py`: trained, exported and measured as it is served, from what is asked to what is answered."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.contract.examples import Examples
from tests.support import linear
from tests.support.models import HOOKED, place
from training import candidate, data, examples, pipeline
from training.author import Run, read_author
from training.check import Check, suite
from training.document import read_model
from training.errors import TrainingError
from training.hooks import HookError, Hooks

RUN = Run("cpu", lambda *_: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder as the model's image has it."""
    return place(tmp_path / "model", "texts", HOOKED)


def make(folder: Path, **changed: Any) -> pipeline.Product:
    model, author = read_model(folder), read_author(folder)
    author = replace(author, hooks=replace(author.hooks, **changed))
    return pipeline.make(model, author, linear, data.load(model, author), model.defaults, RUN)


def test_what_is_measured_is_what_is_answered(folder: Path) -> None:
    product = make(folder)
    assert set(product.answers) == {"log_odds", "word"}
    assert product.measured.metrics["accuracy"] > 0.9
    assert product.measured.parity.rows == len(product.answers["word"])
    model, author = read_model(folder), read_author(folder)
    dataset = data.load(model, author)
    document = Examples.model_validate_json(examples.build(model, dataset, product.answers))
    assert [values.name for values in document.inputs] == ["text"]
    assert set(document.outputs[1].data) == {"good", "bad"}
    assert candidate._statistics(model, dataset) == {}, "texts have no mean"


def test_parity_is_that_of_the_exported_file(folder: Path) -> None:
    def predict(inputs: Any, place: Path) -> Any:
        assert (place / "model.onnx").is_file()
        return {"scores": np.zeros((len(inputs["counts"]), 2), np.float32)}

    with pytest.raises(TrainingError, match="export: scores differs by"):
        make(folder, predict=predict)


def test_predict_answers_instead_of_the_file(folder: Path) -> None:
    def predict(inputs: Any, place: Path) -> Any:
        weight = np.array([[0, 2], [2, 0], [2, 0]], np.float32)
        return {"scores": inputs["counts"] @ weight + np.array([1, 0], np.float32)}

    assert make(folder, predict=predict).answers["word"].tolist() == make(folder).answers["word"].tolist()


def test_an_author_exports_what_decode_reads(folder: Path) -> None:
    def export(fitted: linear.Layer, path: Path) -> None:
        path.with_name("words.json").write_text(json.dumps(["good", "bad", "dull"]))
        path.write_bytes(linear.to_onnx(fitted, "texts", "counts", "scores"))

    def decode(inputs: Any, place: Path) -> Any:
        words = json.loads((place / "words.json").read_text())
        return {"counts": np.array([[text.count(word) for word in words] for text in inputs["text"]], np.float32)}

    model, author = read_model(folder), read_author(folder)
    author = replace(author, export=export, hooks=replace(author.hooks, decode=decode))
    product = pipeline.make(model, author, linear, data.load(model, author), model.defaults, RUN)
    assert product.content == make(folder).content


def returns(value: Any) -> Any:
    return lambda arrays, place: value(arrays) if callable(value) else value


@pytest.mark.parametrize(
    ("hook", "function", "reason"),
    [
        ("decode", returns(None), "has returned NoneType; expected are arrays by name: counts"),
        ("decode", returns({"count": np.zeros(1)}), "has returned count; expected"),
        ("decode", returns({"counts": [1]}), "has returned list for counts"),
        ("decode", returns(lambda a: {"counts": np.zeros((len(a["text"]), 3))}), "counts as float64; the model's"),
        ("decode", returns({"counts": np.zeros((1, 3), np.float32)}), r"the shape \[1, 3\] for \d+ rows;"),
        ("encode", returns(lambda a: {"log_odds": a["scores"], "word": a["scores"]}), r"log_odds with the shape"),
        ("encode", returns(lambda a: {"log_odds": a["scores"][:, 0], "word": a["scores"]}), "word as float32"),
        ("encode", returns(lambda a: a["no"]), "failed: KeyError: 'no'"),
        ("decode", returns(lambda a: a["text"].sort()), "failed: ValueError: "),
    ],
)
def test_what_a_hook_must_not_do_is_named(hook: str, function: Any, reason: str, folder: Path) -> None:
    with pytest.raises(HookError, match=reason):
        make(folder, **{hook: function})


def test_hooks_and_the_document_belong_together(folder: Path) -> None:
    with pytest.raises(TrainingError, match=r"the model's document has session\.inputs, and serve\.py no `decode`"):
        make(folder, decode=None)
    model = replace(read_model(folder), session_outputs=None)
    with pytest.raises(TrainingError, match=r"serve\.py has `encode`, and the model's document no session\.outputs"):
        read_author(folder).hooks.require_declared(model)
    Hooks().require_declared(replace(model, session_inputs=None))


CHECKS = ["code", "data", "framework", "fit", "export", "interface", "parity", "hooks", "rows", "gates", "determinism"]


def checked(folder: Path, before: str = "", after: str = "") -> list[Check]:
    """Return the checks after an edit of `serve.py`."""
    file = folder / "serve.py"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))
    return list(suite(folder, "models/team", lambda _: linear))


def test_the_contract_suite_runs_the_hooks(folder: Path) -> None:
    checks = checked(folder)
    assert [check.check for check in checks if check.passed] == CHECKS
    values = {check.check: check.value for check in checks}
    assert values["code"] == "load, fit, decode, encode"
    assert values["interface"] == "counts to scores"
    assert values["hooks"].startswith("decode and encode: ")


@pytest.mark.parametrize(
    ("check", "before", "after", "reason", "line"),
    [
        ("code", "def decode", "import nowhere\n\n\ndef decode", "ModuleNotFoundError", "import nowhere"),
        ("code", "def decode(", "def decode((", "SyntaxError", "def decode(("),
        ("code", "def decode", "def decoded", "and serve.py no `decode`", ""),
        ("hooks", 'inputs["text"]', 'inputs["texts"]', "`decode` failed: KeyError: 'texts'", 'inputs["texts"]'),
        ("hooks", "np.float32", "np.float64", "`decode` has returned counts as float64", "def decode"),
        ("hooks", "argmax(axis=1)]", "argmax(axis=1)][:1]", "`encode` has returned word with the shape", "def encode"),
        ("rows", "scores[:, 1] - ", "scores[:, 1] * len(scores) - ", "answered otherwise alone", ""),
    ],
)
def test_a_hook_that_fails_is_a_failed_check(
    check: str, before: str, after: str, reason: str, line: str, folder: Path
) -> None:
    *_, failed = checked(folder, before, after)
    assert (failed.check, failed.passed) == (check, False)
    assert reason in failed.value
    if line:
        lines = (folder / "serve.py").read_text().splitlines()
        number = next(number for number, text in enumerate(lines, 1) if line in text)
        assert failed.places[-1] == f"models/team/serve.py:{number}"


def test_a_file_without_hooks_is_refused(folder: Path) -> None:
    (folder / "serve.py").write_text("def decoded(inputs, folder):\n    return inputs\n")
    with pytest.raises(TrainingError, match=r"serve\.py: it has none of the functions decode, predict, encode"):
        read_author(folder)
    (folder / "serve.py").unlink()
    assert read_author(folder).hooks == Hooks()
