"""Models: `models/<name>/model.yaml`, the team's, says what a model is, its parameters and its gates."""

import re
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from infra.contract.fields import Name, Section
from infra.contract.problems import ConfigError, suggest
from infra.contract.reading import differing, read
from infra.contract.release import Operator

FILE = "model.yaml"
_PARAMETER = r"^[a-z][a-z0-9_]{0,39}$"


class Task(StrEnum):
    """What kind of question the model answers."""

    CLASSIFICATION = "classification"


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


class Model(Section):
    """What a model is."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Model"] = Field(description="Model")
    name: Name
    description: str = Field(min_length=1, description="a few words")
    task: Task = Field(description="classification")
    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        description="hyperparameters by name",
        json_schema_extra={"propertyNames": {"pattern": _PARAMETER}},
    )
    gates: tuple[Gate, ...] = Field(min_length=1, description="a list of gates, at least one")

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
        document, source = read(self.folder / model / FILE, name, Model)
        wrong = differing([(("name",), document.name, model)], "the name is the folder's: change one of them")
        if wrong:
            raise source.error(wrong)
        return document

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return every model's document as plain values, by name."""
        return {name: self.load(name).model_dump(mode="json", by_alias=True) for name in self.names()}
