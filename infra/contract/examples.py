"""Examples: held-out rows that a training Job publishes beside the artefact, with labels and expected answers."""

from math import prod
from types import NoneType
from typing import Literal, Self

from pydantic import Field, model_validator

from infra.contract.fields import Count, Name, Section
from infra.contract.release import DataType

Value = int | float | str | bool
# The right answer to a row: a class, a number, a text, or several of them.
Label = Value | tuple[Value, ...]


class Values(Section):
    """The values of one tensor, row by row."""

    name: str = Field(min_length=1)
    datatype: DataType = Field(description="a data type of the Open Inference Protocol v2, such as FP32")
    shape: tuple[Count, ...] = Field(min_length=1, description="a list of sizes; the first one is the rows")
    data: tuple[Value | None, ...] = Field(description="the values, flat; null for one that is missing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.data) != prod(self.shape):
            raise ValueError(f"{self.name}: as many values as the shape says, {prod(self.shape)}")
        kinds = set(map(type, self.data))
        if (kinds - {NoneType} - {str}) if self.datatype is DataType.BYTES else str in kinds:
            raise ValueError(f"{self.name}: texts where the data type is BYTES, and nowhere else")
        if NoneType in kinds and not self.datatype.has_missing:
            raise ValueError(f"{self.name}: no null where the data type is {self.datatype}")
        return self


class Examples(Section):
    """Rows of the held-out part of the data: all of them, or the first ones of many."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Examples"] = Field(description="Examples")
    model: Name
    inputs: tuple[Values, ...] = Field(min_length=1, description="the rows, by the model's inputs")
    outputs: tuple[Values, ...] = Field(min_length=1, description="the exported model's answers, by its outputs")
    labels: tuple[Label, ...] = Field(min_length=1, description="the right answer to each row, such as its class")

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    @model_validator(mode="after")
    def _check(self) -> Self:
        uneven = [values.name for values in (*self.inputs, *self.outputs) if values.shape[0] != self.rows]
        if uneven:
            raise ValueError(f"a row of {', '.join(uneven)} for each of the {self.rows} labels")
        return self
