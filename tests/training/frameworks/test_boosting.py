"""The adapters of XGBoost and LightGBM: classes and values of a table, alone and at the end of a pipeline.

Both are in the images of models, not in the development environment: without them nothing of this runs.
"""

from pathlib import Path
from typing import Any

import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.support.tables import NUMBERS, classes, document, exported, parity, rows, values
from training.errors import TrainingError
from training.frameworks import Adapter, adapter

pandas = pytest.importorskip("pandas", reason="pandas is in the images of models, not in this environment")
# The name of an estimator without its ending, and what makes equal fits of it.
FRAMEWORKS = {
    "xgboost": ("XGB", {}),
    "lightgbm": ("LGBM", {"deterministic": True, "force_row_wise": True, "verbose": -1}),
}


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("onnxmltools", reason="the converter is in the images of models, not in this environment")
    pytest.importorskip(request.param, reason=f"{request.param} is in the images of models, not in this environment")
    name: str = request.param
    return name


@pytest.fixture
def boosting(framework: str) -> Adapter:
    return adapter(framework)


def estimator(framework: str, kind: str, **parameters: Any) -> Any:
    prefix, equal = FRAMEWORKS[framework]
    return getattr(pytest.importorskip(framework), f"{prefix}{kind}")(n_estimators=30, **equal | parameters)


def table(given: dict[str, Any]) -> Any:
    return pandas.DataFrame({name: column.reshape(-1) for name, column in given.items()})


NUMBERED = rows(1500, NUMBERS)


@pytest.mark.parametrize("count", [2, 3])
def test_classes_of_numbers_with_missing_ones(framework: str, boosting: Adapter, count: int, tmp_path: Path) -> None:
    fitted = estimator(framework, "Classifier").fit(table(NUMBERED), classes(NUMBERED, count))
    task, shape = ("binary-classification", ()) if count == 2 else ("multiclass-classification", (count,))
    model = document(task, count, NUMBERS, shape)
    assert parity(boosting, fitted, model, tmp_path).max_abs_difference < 1e-3


@pytest.mark.parametrize("parameters", [{}, {"objective": "count:poisson"}])
def test_a_value_of_numbers(framework: str, boosting: Adapter, parameters: dict[str, str], tmp_path: Path) -> None:
    named = {"lightgbm": {"objective": "poisson"}}.get(framework, parameters) if parameters else {}
    fitted = estimator(framework, "Regressor", **named).fit(table(NUMBERED), values(NUMBERED))
    assert parity(boosting, fitted, document("regression", inputs=NUMBERS), tmp_path).max_abs_difference < 1e-2


def test_a_pipeline_with_texts(framework: str, boosting: Adapter, tmp_path: Path) -> None:
    given = rows(1500)
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["region"]), remainder="passthrough", sparse_threshold=0
    )
    fitted = make_pipeline(columns, estimator(framework, "Classifier")).fit(table(given), classes(given, 2))
    model = document("binary-classification", 2)
    assert parity(boosting, fitted, model, tmp_path).max_abs_difference < 1e-3


def test_equal_fits_give_equal_bytes(framework: str, boosting: Adapter, tmp_path: Path) -> None:
    model = document("regression", inputs=NUMBERS)

    def once() -> bytes:
        boosting.prepare("cpu", 3)
        fitted = estimator(framework, "Regressor", subsample=0.7).fit(table(NUMBERED), values(NUMBERED))
        return exported(boosting, fitted, model, tmp_path)

    assert once() == once()


def test_without_a_gpu_cuda_is_refused(framework: str, boosting: Adapter) -> None:
    try:
        boosting.prepare("cuda", 1)
    except TrainingError as error:
        assert "STELLWERK_DEVICE is 'cuda'" in str(error)
    else:
        assert framework == "xgboost"
