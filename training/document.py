"""The model's document as the image has it, `model.json`: it was checked before the image was built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.evaluation import Gate

FILE = "model.json"


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter with its limits, None where there is none; `kind` is int or float."""

    name: str
    kind: type[int] | type[float]
    default: int | float
    minimum: int | float | None
    exclusive_minimum: int | float | None
    maximum: int | float | None
    description: str

    def allows(self, value: int | float) -> bool:
        """Return whether the value is within the limits; NaN is not."""
        return (
            value == value
            and (self.minimum is None or value >= self.minimum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.maximum is None or value <= self.maximum)
        )


@dataclass(frozen=True)
class Column:
    """A column with the data type and the shape of one row's value (-1 is open), and what the values may be."""

    name: str
    datatype: str
    shape: tuple[int, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str | int, ...] | None = None
    missing: bool = False
    classes: int | None = None


@dataclass(frozen=True)
class HeldOut:
    """Which rows are held out: their share, and what decides it (row, group or time, the latter two by a column)."""

    share: float
    by: str
    column: str | None


@dataclass(frozen=True)
class Model:
    """What a training run reads of a model's document.

    `source` is the file with the data, where it is not the author's `load` that gives it; `digest` is the data set's,
    where it is pinned. `session_inputs` and `session_outputs` are the exported file's own, where `serve.py` makes
    others of them; `hooks` is the digest of that code, as the serving image has it.
    """

    name: str
    description: str
    framework: str
    task: str
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    target: Column
    held_out: HeldOut
    source: str | None
    digest: str | None
    slices: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    gates: tuple[Gate, ...]
    requirements: tuple[str, ...]
    session_inputs: tuple[Column, ...] | None = None
    session_outputs: tuple[Column, ...] | None = None
    hooks: str | None = None

    @property
    def exported(self) -> "Model":
        """Return the model as the exported file has it: its own inputs and outputs."""
        inputs, outputs = self.session_inputs or self.inputs, self.session_outputs or self.outputs
        return replace(self, inputs=inputs, outputs=outputs)

    @property
    def defaults(self) -> dict[str, int | float]:
        """Return the value of each parameter where none is given."""
        return {parameter.name: parameter.default for parameter in self.parameters}


def read_model(folder: Path) -> Model:
    """Return the document of a model's folder; raise TrainingError when it cannot be read."""
    file = folder / FILE
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return Model(
            **{key: document[key] for key in ("name", "description", "framework", "task")},
            inputs=_columns(document["inputs"]),
            outputs=_columns(document["outputs"]),
            target=_column(document["target"]["name"], document["target"]),
            held_out=HeldOut(**document["data"]["heldOut"]),
            source=document["data"]["source"],
            digest=document["data"]["digest"],
            slices=tuple(document["data"]["slices"]),
            parameters=tuple(_parameter(name, values) for name, values in document["parameters"].items()),
            gates=tuple(Gate(**gate) for gate in document["gates"]),
            requirements=tuple(document["requirements"]),
            session_inputs=_columns(document["session"]["inputs"]) or None,
            session_outputs=_columns(document["session"]["outputs"]) or None,
            hooks=document.get("hooks"),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file}: not a model's document ({error!r}); build the image again") from error


def _columns(given: Mapping[str, Any] | None) -> tuple[Column, ...]:
    return tuple(_column(name, values) for name, values in (given or {}).items())


def _column(name: str, values: Mapping[str, Any]) -> Column:
    """Return a column; lists are tuples, so that it is a value that does not change."""
    fields = {key: values[key] for key in ("datatype", "minimum", "maximum", "missing", "classes") if key in values}
    categories = values.get("categories")
    return Column(name, shape=tuple(values["shape"]), categories=categories and tuple(categories), **fields)


def _parameter(name: str, values: Mapping[str, Any]) -> Parameter:
    given = {key: values[key] for key in ("default", "minimum", "maximum", "description")}
    kind = int if values["type"] == "integer" else float
    return Parameter(name=name, kind=kind, exclusive_minimum=values["exclusiveMinimum"], **given)
