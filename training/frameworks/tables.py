"""Models of tables with scikit-learn's interface: what the adapters of scikit-learn, XGBoost and LightGBM share.

A model is fitted on a pandas DataFrame with a column for each input, or on an array where its only input has several
values a row. Its converter's graph stands in the middle of the exported one: in front of it the inputs of the document
are made what it takes, behind it what it gives is made the output of the document.
"""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import BooleanTensorType, FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from training.columns import DTYPES
from training.document import Column, Model
from training.errors import TrainingError
from training.export import named

# What the converters write, and what the server's ONNX Runtime has known for long.
_OPSETS = {"": 20, "ai.onnx.ml": 3}
# Where a converter computes one class as 1 - the other, a smaller probability is not exact to four figures in FP32.
_LEAST = 1e-4
_BINARY, _MULTICLASS = "binary-classification", "multiclass-classification"
_MATRIX = "rows"


def seed(number: int) -> None:
    """Seed Python and NumPy, which scikit-learn draws from."""
    random.seed(number)
    np.random.seed(number % 2**32)


def prepare(device: str, number: int) -> None:
    """Seed every generator of random numbers; raise TrainingError for CUDA, which these models are not trained on."""
    if device == "cuda":
        raise TrainingError("STELLWERK_DEVICE is 'cuda', and this framework trains on the CPU; set the device to 'cpu'")
    seed(number)


def register(classifier: type, regressor: type, convert: Callable[[Any, Any, Any], None]) -> None:
    """Make a framework's estimators some that can be exported, alone and in a pipeline, with its converter."""
    for estimator, shapes, options in (
        (classifier, calculate_linear_classifier_output_shapes, {"zipmap": [True, False], "nocl": [True, False]}),
        (regressor, calculate_linear_regressor_output_shapes, {}),
    ):
        update_registered_converter(estimator, estimator.__name__, shapes, convert, options=options)


def answers(fitted: Any, model: Model, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the model's answers by output: of classifications the logarithms of its probabilities, as tasks need them.

    Probabilities below 0.0001 count as that.
    """
    estimator, rows = _estimator(fitted, model), _table(inputs)
    if _classifies(model):
        values = np.log(np.maximum(estimator.predict_proba(rows), _LEAST))
        if model.task == _BINARY:
            values = values[:, 1] - values[:, 0]
    else:
        values = np.asarray(estimator.predict(rows))
    (output,) = named(model, [values])
    column = model.outputs[0]
    shape = (len(rows), *column.shape)
    if -1 not in shape and values.size != np.prod(shape):
        raise TrainingError(
            f"the trained model answers {list(values.shape[1:])} a row, the document's output {output} has the shape "
            f"{list(column.shape)}"
        )
    return {output: values.reshape(shape).astype(DTYPES[column.datatype])}


def export(fitted: Any, model: Model, sample: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write the model as ONNX; raise TrainingError with what its converter cannot convert."""
    estimator = _estimator(fitted, model)
    by_column = _takes_columns(estimator)
    given = [(column.name, _kind(column)((None, 1))) for column in model.inputs]
    if not by_column:
        given = [(_MATRIX, _matrix_kind(model)((None, sum(_width(column, sample) for column in model.inputs))))]
    options = {id(estimator): {"zipmap": False}} if _classifies(model) else None
    try:
        converted = convert_sklearn(estimator, initial_types=given, target_opset=_OPSETS, options=options)
    # A converter may end with anything at all.
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line), type(error).__name__)
        raise TrainingError(f"export: {type(estimator).__name__} cannot be converted to ONNX: {reason}") from error
    path.write_bytes(_framed(converted, model, by_column).SerializeToString())


def _estimator(fitted: Any, model: Model) -> Any:
    """Return the fitted model; raise TrainingError when it is none that can answer the document's task."""
    method = "predict_proba" if _classifies(model) else "predict"
    if not hasattr(fitted, method):
        raise TrainingError(
            f"`fit` has returned {type(fitted).__name__}, which has no {method}; for {model.task} it returns a fitted "
            "estimator or pipeline with scikit-learn's interface"
        )
    if model.task == "multilabel-classification":
        raise TrainingError(f"{model.task} needs another framework: converters give an estimator's labels one by one")
    known, wanted = np.asarray(getattr(fitted, "classes_", ())).tolist(), list(range(_classes(model.target)))
    if _classifies(model) and known != wanted:
        raise TrainingError(f"the trained model knows the classes {known}, the document has {wanted}")
    return fitted


def _classifies(model: Model) -> bool:
    return model.task in (_BINARY, _MULTICLASS)


def _classes(target: Column) -> int:
    return target.classes or len(target.categories or ())


def _table(inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Return the rows as the model was fitted on them."""
    (first, *more) = inputs.values()
    if not more and first.ndim == 2:
        return first
    if wide := [name for name, values in inputs.items() if values.size != len(values)]:
        raise TrainingError(
            f"{', '.join(wide)}: of several inputs each needs the shape [] or [1], as columns of a table"
        )
    return pandas.DataFrame({name: values.reshape(len(values)) for name, values in inputs.items()})


def _takes_columns(estimator: Any) -> bool:
    """Return whether the model chooses columns by name; others take all of them as one matrix."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[0][1]
    return isinstance(estimator, ColumnTransformer)


def _kind(column: Column) -> Any:
    """Return the converter's type of a column: it knows these four."""
    if column.datatype == "BYTES":
        return StringTensorType
    kinds = {"f": FloatTensorType, "b": BooleanTensorType}
    return kinds.get(np.dtype(DTYPES[column.datatype]).kind, Int64TensorType)


def _matrix_kind(model: Model) -> Any:
    texts = [column.datatype == "BYTES" for column in model.inputs]
    if any(texts) and not all(texts):
        raise TrainingError(
            "export: texts and numbers beside one another need a pipeline that begins with a ColumnTransformer"
        )
    return StringTensorType if all(texts) else FloatTensorType


def _width(column: Column, sample: Mapping[str, NDArray[Any]]) -> int:
    return int(sample[column.name][0].size)


class _Frame:
    """The nodes around the converter's, and the constants that they use."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *given: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"frame/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, given, [name], **attributes))
        return name

    def constant(self, values: Any) -> str:
        """Add a constant and return its name."""
        name = f"constant/{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values), name))
        return name


def _framed(converted: Any, model: Model, by_column: bool) -> Any:
    """Return the converter's graph between the inputs and the output of the document."""
    inner = onnx.compose.add_prefix(converted, "model/")
    frame = _Frame()
    front = _front(frame, inner, model, by_column)
    _back(frame, inner.graph.output[-1].name, model)
    graph = helper.make_graph(
        [*frame.nodes[:front], *inner.graph.node, *frame.nodes[front:]],
        model.name,
        [_value(column) for column in model.inputs],
        [_value(column) for column in model.outputs],
        [*inner.graph.initializer, *frame.constants],
    )
    # In an order of their own: the converter's is that of a set. A graph of trees alone names no others than theirs.
    opsets = sorted(({"": _OPSETS[""]} | {given.domain: given.version for given in inner.opset_import}).items())
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets], ir_version=inner.ir_version
    )


def _front(frame: _Frame, inner: Any, model: Model, by_column: bool) -> int:
    """Add what makes the document's inputs those of the converter's graph; return how many nodes that are."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in inner.graph.input}
    one_each = frame.constant(np.array([-1, 1], np.int64))
    columns = []
    for column in model.inputs:
        values = column.name
        if len(column.shape) == 0:
            values = frame.add("Reshape", values, one_each)
        name = f"model/{column.name if by_column else _MATRIX}"
        # A column that nothing of the model uses has no input there.
        if name in kinds and _onnx_type(column) != kinds[name]:
            values = frame.add("Cast", values, to=kinds[name])
        if by_column:
            frame.add("Identity", values, output=name)
        columns.append(values)
    if not by_column:
        frame.add("Concat", *columns, axis=1, output=f"model/{_MATRIX}")
    return len(frame.nodes)


def _back(frame: _Frame, values: str, model: Model) -> None:
    """Add what makes of the converter's last output, probabilities or values, the document's."""
    output = model.outputs[0]
    if _classifies(model):
        values = frame.add("Log", frame.add("Max", values, frame.constant(np.float32(_LEAST))))
        if model.task == _BINARY:
            values = frame.add("MatMul", values, frame.constant(np.array([[-1], [1]], np.float32)))
    values = frame.add("Reshape", values, frame.constant(np.array([-1, *output.shape], np.int64)))
    frame.add("Cast", values, to=_onnx_type(output), output=output.name)


def _value(column: Column) -> Any:
    return helper.make_tensor_value_info(column.name, _onnx_type(column), ["rows", *_sizes(column)])


def _sizes(column: Column) -> list[int | None]:
    return [None if size == -1 else size for size in column.shape]


def _onnx_type(column: Column) -> int:
    if column.datatype == "BYTES":
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[column.datatype])))
