"""Examples: held-out rows that a training Job publishes beside the artefact, with labels and expected answers."""

from math import prod
from typing import Literal, Self

from pydantic import Field, model_validator

from infra.contract.fields import Count, Name, Section
from infra.contract.release import DataType


class Values(Section):
    """The values of one tensor, row by row."""

    name: str = Field(min_length=1)
    datatype: DataType = Field(description="a data type of the Open Inference Protocol v2, such as FP32")
    shape: tuple[Count, ...] = Field(min_length=1, description="a list of sizes; the first one is the rows")
    data: tuple[float, ...] = Field(description="the numbers, flat")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.data) != prod(self.shape):
            raise ValueError(f"{self.name}: as many numbers as the shape says, {prod(self.shape)}")
        return self


class Examples(Section):
    """Rows of the held-out part of the data: all of them, or the first ones of many."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Examples"] = Field(description="Examples")
    model: Name
    inputs: tuple[Values, ...] = Field(min_length=1, description="the rows, by the model's inputs")
    outputs: tuple[Values, ...] = Field(min_length=1, description="the exported model's answers, by its outputs")
    labels: tuple[Count, ...] = Field(min_length=1, description="the right class of each row")

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
