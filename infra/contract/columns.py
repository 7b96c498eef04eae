"""Columns of a model: its inputs, its outputs and its target, and what the values of its data may be."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.contract.data import SOURCE_RULE, DataSource
from infra.contract.fields import Digest, Section
from infra.contract.release import DataType

Shape = Annotated[
    tuple[Annotated[int, Field(ge=-1)], ...], Field(description="a list of sizes of one row's value, -1 if open")
]
ColumnName = Annotated[str, Field(min_length=1, description="the name of a column")]
_WITHOUT_MISSING = "FP16, FP32, FP64 or BYTES where values may be missing: others have no way to say so"


class Output(Section):
    """What a model answers: the type and the shape of one row's value."""

    datatype: DataType = Field(description="a data type of the Open Inference Protocol v2, such as FP32")
    shape: Shape = ()


class Column(Output):
    """A column of the data, and what its values may be."""

    minimum: int | float | None = Field(default=None, description="the least value allowed")
    maximum: int | float | None = Field(default=None, description="the greatest value allowed")
    categories: tuple[str | int, ...] | None = Field(
        default=None, min_length=1, description="a list of the values that are allowed"
    )
    missing: bool = Field(default=False, description="true where values may be missing")
    unit: str | None = Field(default=None, min_length=1, description="what the values are measured in")

    @model_validator(mode="after")
    def _check(self) -> Self:
        limits = [limit for limit in (self.minimum, self.maximum) if limit is not None]
        if sorted(limits) != limits:
            raise ValueError("a minimum that is not above the maximum")
        if limits and (self.categories is not None or self.datatype is DataType.BYTES):
            raise ValueError("limits for numbers without categories")
        if self.missing and not self.datatype.has_missing:
            raise ValueError(_WITHOUT_MISSING)
        kind = str if self.datatype is DataType.BYTES else int
        if not all(isinstance(category, kind) for category in self.categories or ()):
            raise ValueError(f"categories of the column's type: {'texts' if kind is str else 'whole numbers'}")
        return self


class Target(Column):
    """The column that the model learns to answer."""

    name: ColumnName
    classes: int | None = Field(
        default=None, ge=2, description="of a classification: the number of classes, which are 0, 1, 2, …; at least 2"
    )

    @property
    def size(self) -> int:
        """Return the number of classes, 0 where the target has none."""
        return self.classes or len(self.categories or ())


class Split(StrEnum):
    """What decides which rows are held out."""

    ROW = "row"
    GROUP = "group"
    TIME = "time"


class HeldOut(Section):
    """The rows that are not trained on, but measured with."""

    share: float = Field(default=0.2, gt=0, lt=1, description="their share, above 0 and below 1")
    by: Split = Field(
        default=Split.ROW,
        description="row (each by its content), group (equal values of a column together), time (the latest ones)",
    )
    column: ColumnName | None = Field(default=None, description="the column with the group or the time")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.column is None) != (self.by is Split.ROW):
            raise ValueError("a column with `by: group` and `by: time`, and none with `by: row`")
        return self


class DataSection(Section):
    """The data that the model is trained on."""

    source: DataSource | None = Field(
        default=None, description=f"{SOURCE_RULE}; without one, what `load` of train.py returns"
    )
    held_out: HeldOut = HeldOut()
    digest: Digest | None = Field(
        default=None, description="the data set's digest, with a source that of its file: training refuses another one"
    )
    slices: tuple[ColumnName, ...] = Field(
        default=(), description="a list of columns: metrics are given for the rows of each of their values, too"
    )
