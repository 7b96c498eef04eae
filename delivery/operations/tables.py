"""Rows for an evaluation from a table (CSV): a column per input by its name, and one with the right answers."""

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delivery.errors import DeliveryError, system_errors
from infra.contract.columns import Target
from infra.contract.examples import Examples, Label, Value, Values
from infra.contract.release import DataType
from serving.model import ModelError, Runner, Tensor

# The column with the right answers, where no document of the model names it.
TARGET = "target"
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def examples_of(file: Path, model: str, loaded: Runner, target: Target | None) -> Examples:
    """Return the table's rows with their labels and the model's own answers.

    Raise DeliveryError for a table without a column that is needed, or with a value that is not of its column's type.
    """
    name = target.name if target else TARGET
    with system_errors("reading the table", "name a file that exists and that you may read"):
        text = file.read_text(encoding="utf-8")
    table = list(csv.DictReader(io.StringIO(text)))
    if not table:
        raise DeliveryError(f"{file}: it has no rows")
    lacking = [column for column in (*(one.name for one in loaded.inputs), name) if column not in table[0]]
    if lacking:
        raise DeliveryError(f"{file}: there is no column {', '.join(lacking)}; its columns are {', '.join(table[0])}")
    inputs = tuple(_input(file, tensor, [row[tensor.name] for row in table]) for tensor in loaded.inputs)
    labels = tuple(_label(file, number, row[name], target) for number, row in enumerate(table, 2))
    feeds = {one.name: np.array(values.data, one.dtype).reshape(values.shape) for one, values in _pairs(loaded, inputs)}
    try:
        answers = loaded.run(feeds, loaded.output_names)
    except (ModelError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise DeliveryError(f"{file}: the model does not run on these rows: {reason}; nothing is changed") from None
    outputs = tuple(_output(tensor, answer) for tensor, answer in zip(loaded.outputs, answers, strict=True))
    head = {"apiVersion": "stellwerk.dev/v1", "kind": "Examples", "model": model}
    return Examples.model_validate(head | {"inputs": inputs, "outputs": outputs, "labels": labels})


def _pairs(loaded: Runner, inputs: tuple[Values, ...]) -> list[tuple[Tensor, Values]]:
    return list(zip(loaded.inputs, inputs, strict=True))


def _input(file: Path, tensor: Tensor, texts: list[str]) -> Values:
    """Return a column as the values of an input, which has one value a row."""
    if len(tensor.shape) > 2 or tensor.shape[1:] not in ((), (1,)):
        raise DeliveryError(
            f"{file}: the input {tensor.name} has more than one value a row; give the rows as a document of examples "
            "(.json)"
        )
    datatype = DataType(tensor.datatype)
    data = tuple(_value(file, tensor.name, number, text, datatype) for number, text in enumerate(texts, 2))
    shape = (len(texts), *([1] if len(tensor.shape) == 2 else []))
    return Values(name=tensor.name, datatype=datatype, shape=shape, data=data)


def _value(file: Path, column: str, number: int, text: str, datatype: DataType) -> Value | None:
    try:
        if datatype is DataType.BYTES:
            return text
        if text == "" and datatype.has_missing:
            return None
        if datatype is DataType.BOOL:
            return _TRUTH[text.lower()]
        return float(text) if datatype.value.startswith("FP") else int(text)
    except (KeyError, ValueError):
        raise DeliveryError(f"{file}:{number}: {column} is {text!r}, allowed is a value of {datatype}") from None


def _label(file: Path, number: int, text: str, target: Target | None) -> Label:
    """Return the right answer: a class number where the document has categories, else a number."""
    categories = [str(category) for category in (target.categories or ())] if target else []
    try:
        if categories:
            return categories.index(text)
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        allowed = ", ".join(categories) or "a number"
        raise DeliveryError(f"{file}:{number}: the target is {text!r}, allowed: {allowed}") from None


def _output(tensor: Tensor, answer: NDArray[np.generic]) -> Values:
    data = tuple(np.asarray(answer).reshape(-1).tolist())
    return Values(name=tensor.name, datatype=DataType(tensor.datatype), shape=tuple(np.shape(answer)), data=data)
