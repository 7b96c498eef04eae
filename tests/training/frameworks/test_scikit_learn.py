"""The adapter of scikit-learn: pipelines of numbers, texts, truth values and missing values.

Its converter is in the images of models, not in the development environment: without it nothing of this runs.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.support.tables import COLUMNS, NUMBERS, classes, document, exported, parity, rows, values
from training.document import Column
from training.errors import TrainingError
from training.export import answers_of, compare
from training.frameworks import adapter

pytest.importorskip("skl2onnx", reason="scikit-learn's converter is in the images of models, not in this environment")
pandas = pytest.importorskip("pandas", reason="pandas is in the images of models, not in this environment")
scikit_learn = adapter("scikit-learn")
ROWS = rows(1500)


def table(given: dict[str, Any]) -> Any:
    return pandas.DataFrame({name: column.reshape(-1) for name, column in given.items()})


def pipeline(last: Any, scaled: bool = True) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler()) if scaled else SimpleImputer()
    return make_pipeline(
        make_column_transformer(
            (numbers, ["age", "years"]),
            (OneHotEncoder(handle_unknown="ignore"), ["region"]),
            ("passthrough", ["member"]),
        ),
        last,
    )


# Trees go without a scaler: rounded to FP32, a scaled value may get to another leaf.
@pytest.mark.parametrize(
    "fitted",
    [
        pipeline(LogisticRegression()),
        pipeline(GaussianNB()),
        pipeline(MLPClassifier((8,), max_iter=20)),
        pipeline(RandomForestClassifier(9), scaled=False),
    ],
    ids=lambda fitted: type(fitted[-1]).__name__,
)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_classes_of_a_table(fitted: Any, count: int, tmp_path: Path) -> None:
    scikit_learn.prepare("cpu", 3)
    fitted.fit(table(ROWS), classes(ROWS, count))
    task, shape = ("binary-classification", ()) if count == 2 else ("multiclass-classification", (count,))
    model = document(task, count, shape=shape)
    assert parity(scikit_learn, fitted, model, tmp_path).max_abs_difference < 1e-3
    answered = scikit_learn.answers(fitted, model, ROWS)["answer"]
    known = answered > 0 if count == 2 else answered.argmax(axis=1)
    assert (known == fitted.predict(table(ROWS))).mean() > 0.99


@pytest.mark.parametrize(
    "fitted", [HistGradientBoostingRegressor(max_iter=20), make_pipeline(SimpleImputer(), LinearRegression())]
)
def test_a_value_of_numbers_alone_needs_no_choice_of_columns(fitted: Any, tmp_path: Path) -> None:
    given = rows(1500, NUMBERS)
    fitted.fit(table(given), values(given))
    assert parity(scikit_learn, fitted, document("regression", inputs=NUMBERS), tmp_path).max_abs_difference < 1e-2


def test_trees_that_know_missing_values(tmp_path: Path) -> None:
    given = rows(1500, NUMBERS)
    fitted = HistGradientBoostingClassifier(max_iter=20).fit(table(given), classes(given, 3))
    model = document("multiclass-classification", 3, NUMBERS, (3,))
    assert parity(scikit_learn, fitted, model, tmp_path).max_abs_difference < 1e-3


def test_a_window_of_several_values_and_several_answers(tmp_path: Path) -> None:
    window = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    fitted = LinearRegression().fit(window, window[:, :3].cumsum(axis=1))
    model = document("forecasting", inputs=(Column("window", "FP32", (8,)),), shape=(3,))
    scikit_learn.export(fitted, model, {"window": window[:2]}, tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    given = {"window": window}
    measured = compare(scikit_learn.answers(fitted, model, given), answers_of(content, model, given))
    assert (measured.rows, measured.max_abs_difference < 1e-5) == (300, True)


def logistic() -> Any:
    scikit_learn.prepare("cpu", 3)
    return pipeline(LogisticRegression()).fit(table(ROWS), classes(ROWS, 2))


BINARY = document("binary-classification", 2)


def test_equal_fits_give_equal_bytes_even_in_another_process(tmp_path: Path) -> None:
    first = exported(scikit_learn, logistic(), BINARY, tmp_path)
    code = (
        "import sys; from pathlib import Path; from tests.training.frameworks.test_scikit_learn import *;"
        "sys.stdout.buffer.write(exported(scikit_learn, logistic(), BINARY, Path(sys.argv[1])))"
    )
    other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True)
    assert other.stdout == first


@pytest.mark.parametrize(
    ("fitted", "changed", "message"),
    [
        ({}, {}, "`fit` has returned dict, which has no predict_proba; for binary-classification"),
        (RidgeClassifier(), {}, "RidgeClassifier, which has no predict_proba"),
        (LogisticRegression(), {"target": Column("kind", "INT64", classes=3)}, r"knows the classes \[0, 1\], the doc"),
        (LogisticRegression(), {"outputs": ()}, "answers with 1 values, the document names the outputs"),
        (LogisticRegression(), {"outputs": (Column("answer", "FP32", (2,)),)}, r"answers \[\] a row, .* shape \[2\]"),
        (MultiOutputClassifier(LogisticRegression()), {"task": "multilabel-classification"}, "needs another framework"),
    ],
)
def test_what_does_not_fit_the_document_is_named(fitted: Any, changed: dict[str, Any], message: str) -> None:
    given = rows(200, NUMBERS)
    filled = {name: np.nan_to_num(column) for name, column in given.items()}
    if fitted:
        target = classes(given, 2)
        fitted.fit(table(filled), target[:, None] if isinstance(fitted, MultiOutputClassifier) else target)
    with pytest.raises(TrainingError, match=message):
        scikit_learn.answers(fitted, replace(BINARY, inputs=NUMBERS, **changed), filled)


def test_a_table_has_one_value_a_column() -> None:
    wide = {"age": np.zeros((3, 2), np.float32), "years": np.zeros(3, np.int64)}
    with pytest.raises(TrainingError, match="age: of several inputs each needs the shape"):
        scikit_learn.answers(logistic(), BINARY, wide)


def test_texts_among_numbers_need_columns_to_be_chosen(tmp_path: Path) -> None:
    fitted = LogisticRegression().fit(np.zeros((2, 4)), [0, 1])
    with pytest.raises(TrainingError, match="pipeline that begins with a ColumnTransformer"):
        scikit_learn.export(fitted, BINARY, rows(2, COLUMNS), tmp_path / "model.onnx")


def test_what_has_no_converter_is_named(tmp_path: Path) -> None:
    class Own(LogisticRegression):  # type: ignore[misc]
        pass

    given = rows(200, NUMBERS)
    fitted = make_pipeline(SimpleImputer(), Own()).fit(table(given), classes(given, 2))
    with pytest.raises(TrainingError, match=r"export: Pipeline cannot be converted to ONNX: .*Own"):
        scikit_learn.export(fitted, replace(BINARY, inputs=NUMBERS), given, tmp_path / "model.onnx")


def test_cuda_is_refused() -> None:
    with pytest.raises(TrainingError, match="STELLWERK_DEVICE is 'cuda', and this framework trains on the CPU"):
        scikit_learn.prepare("cuda", 1)
