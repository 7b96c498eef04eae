"""Models: `models/<name>/model.yaml`, the team's, says what a model is, its data, its parameters and its gates."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from infra.contract import data
from infra.contract.columns import Column, DataSection, Output, Target
from infra.contract.environment import Resources
from infra.contract.fields import NAME, NAME_RULE, Name, Section
from infra.contract.problems import ConfigError, Problem, read_text, show, suggest
from infra.contract.reading import differing, parse, tree
from infra.contract.release import DataType, Operator, Task

FILE = "model.yaml"
# Beside it where the model has code of its own around the exported file, or instead of it.
HOOKS = "serve.py"
_VERSION = "stellwerk.dev/v2"
_PARAMETER = r"^[a-z][a-z0-9_]{0,39}$"


class Framework(StrEnum):
    """What a model is trained with: each but `none` has an adapter and an image in `training/frameworks/`.

    A model of the framework `none` is an existing file: nothing trains it.
    """

    PYTORCH = "pytorch"
    SCIKIT_LEARN = "scikit-learn"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    KERAS = "keras"
    NONE = "none"

    @property
    def package(self) -> str:
        """Return the name of the adapter's package, which is its folder's."""
        return self.value.replace("-", "_")


class ParameterType(StrEnum):
    """Types of hyperparameters."""

    INTEGER = "integer"
    NUMBER = "number"


class Parameter(Section):
    """A hyperparameter: what `stellwerk train --param` may set."""

    type: ParameterType = Field(description="integer or number")
    default: int | float
    minimum: int | float | None = Field(default=None, description="the least value allowed")
    exclusive_minimum: int | float | None = Field(default=None, description="values must be above this")
    maximum: int | float | None = Field(default=None, description="the greatest value allowed")
    description: str = Field(min_length=1, description="a few words")

    def read(self, text: str) -> int | float:
        """Return the value that a text stands for; raise ValueError with what is allowed."""
        try:
            value = int(text) if self.type is ParameterType.INTEGER else float(text)
        except ValueError:
            raise ValueError(self.allowed) from None
        if not self.allows(value):
            raise ValueError(self.allowed)
        return value

    def allows(self, value: int | float) -> bool:
        """Return whether the value has the type and is within its limits; NaN and infinity are not."""
        return (
            (isinstance(value, int) or self.type is ParameterType.NUMBER)
            and (self.minimum is None or value >= self.minimum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.maximum is None or value <= self.maximum)
            and -inf < value < inf
        )

    @property
    def allowed(self) -> str:
        """Return what is allowed, for messages."""
        limits = (("at least", self.minimum), ("above", self.exclusive_minimum), ("at most", self.maximum))
        words = " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)
        kind = "a whole number" if self.type is ParameterType.INTEGER else "a number"
        return f"{kind} {words}".strip()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.allows(self.default):
            raise ValueError(f"a default that is {self.allowed}")
        return self


class Gate(Section):
    """`metric` `operator` `threshold` must hold on the held-out rows, or there is no candidate and no release."""

    metric: str = Field(min_length=1, description="a metric of the task, such as accuracy")
    operator: Operator = Field(description="one of >=, <=, >, <")
    threshold: float = Field(description="a number")


class Session(Section):
    """What the exported file itself takes and gives, where `serve.py` stands between it and who asks."""

    inputs: dict[str, Output] | None = Field(
        default=None, min_length=1, description="what decode returns, by name, in the order the exported file takes it"
    )
    outputs: dict[str, Output] | None = Field(
        default=None, min_length=1, description="what encode gets, by name, in the order the exported file gives it"
    )


class Training(Section):
    """How the model is trained."""

    resources: Resources


class Model(Section):
    """What a model is."""

    api_version: Literal["stellwerk.dev/v2"] = Field(description=_VERSION)
    kind: Literal["Model"] = Field(description="Model")
    name: Name
    description: str = Field(min_length=1, description="a few words")
    owner: str = Field(min_length=1, description="who answers for the model, such as a team")
    framework: Framework = Field(description=", ".join(Framework))
    task: Task = Field(description=", ".join(Task))
    inputs: dict[str, Column] = Field(min_length=1, description="inputs by name, in the order the model takes them")
    outputs: dict[str, Output] = Field(min_length=1, description="outputs by name, in the order the model gives them")
    session: Session = Session()
    target: Target
    data: DataSection = DataSection()
    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        description="hyperparameters by name",
        json_schema_extra={"propertyNames": {"pattern": _PARAMETER}},
    )
    gates: tuple[Gate, ...] = Field(
        default=(), description="a list of gates, at least one; with `framework: none` there may be none"
    )
    training: Training | None = Field(default=None, description="how it is trained; absent with `framework: none`")
    requirements: tuple[str, ...] = Field(default=(), description="a list of requirement ids")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.target.name in self.inputs:
            raise ValueError("a target that is no input")
        self._check_training()
        if self.framework in (Framework.PYTORCH, Framework.KERAS):
            inputs, outputs = self.session.inputs or self.inputs, self.session.outputs or self.outputs
            if any(column.datatype is DataType.BYTES for column in (*inputs.values(), *outputs.values())):
                raise ValueError(
                    f"inputs and outputs of numbers: {self.framework} has no tensors of texts (BYTES); {HOOKS} makes "
                    "numbers of texts, and texts of numbers"
                )
        self._check_target()
        return self

    def _check_training(self) -> None:
        if self.framework is not Framework.NONE:
            lacking = [name for name, given in (("gates", self.gates), ("training", self.training)) if not given]
            if lacking:
                raise ValueError(f"{' and '.join(lacking)}, which every model that is trained has")
        elif self.training or self.parameters or self.data != DataSection():
            raise ValueError("no training, parameters and data with `framework: none`: nothing trains an existing file")

    def _check_target(self) -> None:
        target, classes = self.target, self.target.size
        if target.missing:
            raise ValueError("a target without missing values")
        if self.task in (Task.BINARY, Task.MULTICLASS):
            if (target.classes is None) == (target.categories is None) or target.shape:
                raise ValueError("a target with either classes or categories, and one value a row")
            if self.task is Task.BINARY and classes != 2:
                raise ValueError("a target with two classes, as the task is binary-classification")
        elif target.classes is not None:
            raise ValueError(f"a target without classes, as the task is {self.task}")
        if self.task is Task.MULTILABEL and len(target.shape) != 1:
            raise ValueError("a target of the shape [number of labels], as the task is multilabel-classification")

    @field_validator("parameters")
    @classmethod
    def _check_names(cls, given: dict[str, Parameter]) -> dict[str, Parameter]:
        wrong = [name for name in given if not re.fullmatch(_PARAMETER, name)]
        if wrong:
            raise ValueError(f"names of lower-case letters, digits and '_', at most 40; not {', '.join(wrong)}")
        return given


@dataclass(frozen=True)
class Models:
    """The folder of models; `name` is the folder's name in messages."""

    folder: Path
    name: str = "models"

    def names(self) -> list[str]:
        """Return the models that have a document, by name."""
        return sorted(file.parent.name for file in self.folder.glob(f"*/{FILE}"))

    def file(self, model: str) -> str:
        """Return the model's document, as messages name it."""
        return f"{self.name}/{model}/{FILE}"

    def load(self, model: str) -> Model:
        """Return the model's document; raise ConfigError naming the models that exist, or every wrong value by line."""
        name = self.file(model)
        known = self.names()
        if model not in known:
            raise ConfigError(
                f"{name}: there is no such file; models that exist: {', '.join(known) or 'none yet'}; "
                + suggest(model, known, "write it, or name one that exists")
            )
        text = read_text(self.folder / model / FILE, name)
        _refuse_older(tree(text, name), name)
        document, source = parse(text, name, Model)
        wrong = differing([(("name",), document.name, model)], "the name is the folder's: change one of them")
        wrong += self._absent(document, model)
        if wrong:
            raise source.error(wrong)
        return document

    def _absent(self, document: Model, model: str) -> Iterator[Problem]:
        """Yield files that the document needs beside it, and that are not there."""
        folder, given = self.folder / model, document.data.source
        if document.session != Session() and not (folder / HOOKS).is_file():
            hooks = f"{self.name}/{model}/{HOOKS}"
            yield Problem(("session",), f"a session, and no {hooks}", "none", f"write {hooks}, or remove the key")
        if given and not data.is_remote(given) and not (folder / given).is_file():
            shown = f"{given}, and there is no such file"
            yield Problem(("data", "source"), shown, data.SOURCE_RULE, "put the file there")


def require_name(model: str) -> None:
    """Raise ConfigError unless a text may be a model's name: it is a folder's, and part of the names of objects."""
    if not re.fullmatch(NAME, model):
        raise ConfigError(f"model name {show(model)}: not allowed; allowed: {NAME_RULE}; choose another name")


def _refuse_older(given: Any, name: str) -> None:
    """Raise ConfigError for a document of version 1: one message instead of one for each key."""
    if isinstance(given, dict) and given.get("apiVersion") == "stellwerk.dev/v1":
        raise ConfigError(
            f"{name}: it has apiVersion stellwerk.dev/v1, this version reads {_VERSION}: a model is a folder of its "
            "own now, with its data and its training code; docs/upgrades.md says what to write"
        )
