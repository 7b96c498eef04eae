"""From data to a measured model, without cluster, store and tracking server."""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.contract.examples import Examples
from tests.support import linear
from tests.support.linear import Layer, write_external
from tests.support.models import MODELS, training_data, training_model
from training import examples, pipeline
from training.author import Author, Rows, Run, read_author
from training.errors import GateError, TrainingError
from training.pipeline import Product

AUTHOR = read_author(MODELS / "digits")
MODEL = training_model()
RUN = Run("cpu", lambda *_: None)


Make = Callable[..., Product]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make the model with changes of its author's functions, each time in a folder of its own."""
    places = (tmp_path / str(number) for number in itertools.count())

    def made(**changed: Any) -> Product:
        author, folder = replace(AUTHOR, **changed), next(places)
        folder.mkdir()
        return pipeline.make(MODEL, author, linear, training_data(), MODEL.defaults, RUN, folder)

    return made


def test_what_is_measured_is_the_exported_file(make: Make) -> None:
    product = make()
    held_out = training_data().held_out
    predicted = product.answers["scores"].argmax(axis=1)
    assert product.measured.metrics["accuracy"] == float((predicted == held_out.target).mean())
    assert product.measured.parity.rows == len(held_out)
    assert all(gate.passed for gate in product.measured.gates)
    assert product.content == make().content


def test_own_metrics_count_beside_those_of_the_task(make: Make) -> None:
    def evaluate(answers: Mapping[str, Any], rows: Rows) -> dict[str, float]:
        return {"sevens": float((answers["scores"].argmax(axis=1)[rows.target == 7] == 7).mean())}

    measured = make(evaluate=evaluate).measured
    assert set(measured.intervals) == {"accuracy", "loss", "worst_class_recall"}
    assert measured.own == ["sevens"]
    assert set(measured.metrics) == {"accuracy", "loss", "worst_class_recall", "sevens"}
    with pytest.raises(TrainingError, match="`evaluate` gives accuracy: these are metrics of the task"):
        make(evaluate=lambda *_: {"accuracy": 1.0})


def test_an_export_of_the_authors_own(make: Make) -> None:
    def export(model: Layer, path: Path) -> None:
        path.write_bytes(linear.to_onnx(model, "own", "pixels", "scores"))

    assert make(export=export).content == make().content
    with pytest.raises(TrainingError, match="`export` has not written the file"):
        make(export=lambda *_: None)


def test_what_an_export_writes_beside_the_model_belongs_to_it(make: Make) -> None:
    def export(model: Layer, path: Path) -> None:
        write_external(model, path, "weights.bin")
        (path.parent / "assets").mkdir()
        (path.parent / "assets" / "vocabulary.txt").write_text("zero\none\n")

    product, plain = make(export=export), make()
    assert list(product.exported.beside) == ["assets/vocabulary.txt", "weights.bin"]
    assert np.array_equal(product.answers["scores"], plain.answers["scores"])
    assert product.measured.metrics == plain.measured.metrics
    assert product.exported.digests == make(export=export).exported.digests


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("vocabulary.pkl", b"x", "a pickle runs any code as it is opened"),
        (".hidden", b"x", "allowed are names of letters"),
        ("two words.txt", b"x", "allowed are names of letters"),
        ("empty.txt", b"", "it is empty"),
        ("link.txt", None, "it is no regular file"),
    ],
)
def test_a_file_that_no_release_can_name_is_refused(make: Make, name: str, content: bytes | None, reason: str) -> None:
    def export(model: Layer, path: Path) -> None:
        linear.export(model, MODEL, {}, path)
        if content is None:
            (path.parent / name).symlink_to("/etc/hostname")
        else:
            (path.parent / name).write_bytes(content)

    with pytest.raises(TrainingError, match=f"file '{name}' beside the model cannot be published: {reason}"):
        make(export=export)


def test_tensors_that_are_not_where_the_model_says_are_named(make: Make) -> None:
    def export(model: Layer, path: Path) -> None:
        write_external(model, path, "weights.bin")
        (path.parent / "weights.bin").unlink()

    with pytest.raises(TrainingError, match=r"no valid ONNX model: .*weights\.bin"):
        make(export=export)


def test_an_export_that_differs_from_the_model_is_refused(make: Make) -> None:
    def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Layer:
        return replace(AUTHOR.fit(rows, parameters, run), error=0.01)

    with pytest.raises(TrainingError, match="scores differs by"):
        make(fit=fit)


def test_the_examples_are_the_held_out_rows_with_the_exported_models_answers(make: Make) -> None:
    product, held_out = make(), training_data().held_out
    document = Examples.model_validate_json(examples.build(MODEL, training_data(), product.answers))
    (rows,), (scores,) = document.inputs, document.outputs
    assert document.labels == tuple(held_out.target.tolist())
    assert np.array_equal(np.array(rows.data, np.float32).reshape(rows.shape), held_out.inputs["pixels"])
    assert np.array_equal(np.array(scores.data, np.float32).reshape(scores.shape), product.answers["scores"])


def test_of_many_held_out_rows_the_first_thousand_are_published() -> None:
    dataset = training_data()
    many = dataset.held_out.of(np.tile(np.arange(len(dataset.held_out)), 3))
    more = replace(dataset, held_out=many)
    document = json.loads(examples.build(MODEL, more, {"scores": np.zeros((len(many), 10), np.float32)}))
    assert len(many) > examples.rows_of(more) == len(document["labels"]) == 1000
    assert [values["shape"] for key in ("inputs", "outputs") for values in document[key]] == [[1000, 64], [1000, 10]]


def test_texts_and_missing_values_are_published_as_they_are() -> None:
    data = training_data()
    rows = Rows({"pixels": np.array([1.0, np.nan], np.float32)}, np.array([[0.5, 1.5]] * 2), {})
    model = replace(MODEL, inputs=(replace(MODEL.inputs[0], shape=(), missing=True),),
                    outputs=(replace(MODEL.outputs[0], datatype="BYTES", shape=()),))  # fmt: skip
    content = examples.build(model, replace(data, held_out=rows), {"scores": np.array(["a", "b"], object)})
    document = Examples.model_validate_json(content)
    assert document.inputs[0].data == (1.0, None)
    assert document.outputs[0].data == ("a", "b")
    assert document.labels == ((0.5, 1.5), (0.5, 1.5))


def test_a_missed_gate_is_named(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Layer:
        return Layer(np.zeros((64, 10), np.float32), np.zeros(10, np.float32))

    measured = make(fit=fit).measured
    with pytest.raises(GateError, match=r"not published: accuracy is 0\.\d+, must be >= 0\.85"):
        pipeline.require_gates(MODEL, measured)
    assert "gate: accuracy is 0." in capsys.readouterr().out


def test_an_author_is_given_the_defaults_and_the_run(make: Make) -> None:
    given: list[Any] = []

    def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Layer:
        given.extend((len(rows), parameters, run))
        return AUTHOR.fit(rows, parameters, run)

    make(fit=fit)
    assert given == [len(training_data().train), MODEL.defaults, RUN]
    assert isinstance(AUTHOR, Author)
