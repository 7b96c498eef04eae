"""Releases: immutable documents in `stacks/releases/<model>/<release>.yaml`, shared by the program and the command."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from infra.contract.fields import Count, Digest, Name, PinnedImage, ReleaseId, Section
from infra.contract.problems import ConfigError, KeyPath, Problem, suggest
from infra.contract.reading import differing, read


class DataType(StrEnum):
    """Tensor data types of the Open Inference Protocol v2."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    @property
    def has_missing(self) -> bool:
        """Return whether there is a value that says that none is known: NaN, or no text."""
        return self.value.startswith("FP") or self is DataType.BYTES


Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        description="an RFC 3339 time in quotes: '2026-01-31T12:00:00Z'",
    ),
]


class Metadata(Section):
    """Which release this is."""

    model: Name
    release: ReleaseId
    created: Time


class StoredObject(Section):
    """An object of the store, content-addressed."""

    digest: Digest
    size: int = Field(ge=1, description="bytes, at least 1")
    key: str = Field(min_length=1, description="the key in the bucket: <model>/sha256-<64 hex>.<ending>")


class Artefact(StoredObject):
    """The model file."""

    format: Literal["onnx"] = Field(description="onnx")


class ExampleRows(StoredObject):
    """The document with held-out rows, their labels and the model's answers to them."""

    rows: int = Field(ge=1, description="a number, at least 1")


class Serving(Section):
    """What serves the artefact."""

    image: PinnedImage


class TrainingRecord(Section):
    """What trained the artefact."""

    image: PinnedImage
    job: str
    parameters: dict[str, Any]
    commit: str = Field(
        pattern=r"^([0-9a-f]{7,64}(\+[0-9a-f]{12})?|unknown|uncommitted)$",
        description="the commit that the image was built from: <hex>, <hex>+<12 hex> with changes, or unknown",
    )


class Rows(Section):
    """Rows per split."""

    train: Count
    held_out: Count


class Data(Section):
    """The data snapshot."""

    name: str
    digest: Digest
    rows: Rows


class Run(Section):
    """The tracking run."""

    experiment: str
    run_id: str
    model_version: str


class Tensor(Section):
    """One input or output; a dimension of -1 is open."""

    name: str = Field(min_length=1)
    datatype: DataType = Field(description="a data type of the Open Inference Protocol v2, such as FP32")
    shape: tuple[Annotated[int, Field(ge=-1)], ...] = Field(min_length=1, description="a list of sizes, -1 if open")


class Interface(Section):
    """The model's inputs and outputs."""

    inputs: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[Tensor, ...] = Field(min_length=1)


class Operator(StrEnum):
    """How a metric is compared with its threshold."""

    AT_LEAST = ">="
    AT_MOST = "<="
    MORE = ">"
    LESS = "<"

    def holds(self, value: float, threshold: float) -> bool:
        """Return whether `value` compares so with `threshold`; NaN never does."""
        return _COMPARISONS[self](value, threshold)


_COMPARISONS: dict[Operator, Callable[[float, float], bool]] = {
    Operator.AT_LEAST: operator.ge,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.LESS: operator.lt,
}


class Task(StrEnum):
    """What kind of question the model answers: it decides which metrics are computed."""

    BINARY = "binary-classification"
    MULTICLASS = "multiclass-classification"
    MULTILABEL = "multilabel-classification"
    REGRESSION = "regression"
    FORECASTING = "forecasting"
    RANKING = "ranking"
    OTHER = "other"


class Gate(Section):
    """One evaluation gate and its result."""

    metric: str
    operator: Operator
    threshold: float
    value: float
    passed: bool


class Parity(Section):
    """Agreement of the exported model with the trained one on `rows` rows."""

    max_abs_difference: float = Field(ge=0)
    rows: Count


class Evaluation(Section):
    """Metrics on held-out data, gates and export parity."""

    # Absent in releases from before models had another task.
    task: Task = Field(default=Task.MULTICLASS, description=", ".join(Task))
    metrics: dict[str, float]
    own: tuple[str, ...] = Field(
        default=(), description="metrics of the model's own code and of slices: stated by the Job, measured by it alone"
    )
    # Absent in releases from before training Jobs computed them.
    intervals: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="by metric, the ends of its 95 % confidence interval"
    )
    gates: tuple[Gate, ...]
    parity: Parity


class Statistics(Section):
    """Per-feature mean and standard deviation of one input."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Reference(Section):
    """Reference statistics for drift, by input name."""

    inputs: dict[str, Statistics]


class Release(Section):
    """One immutable model release."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Release"] = Field(description="Release")
    metadata: Metadata
    artefact: Artefact
    serving: Serving
    training: TrainingRecord
    data: Data
    run: Run
    interface: Interface
    evaluation: Evaluation
    reference: Reference
    # Absent in releases from before training Jobs published them.
    examples: ExampleRows | None = Field(default=None, description="held-out rows with labels and expected answers")
    requirements: tuple[str, ...] = Field(default=(), description="a list of requirement ids")


@dataclass(frozen=True)
class Releases:
    """The folder of releases, `stacks/releases`.

    `name` is the folder's name in messages.
    """

    folder: Path
    name: str = "stacks/releases"

    def ids(self, model: str) -> list[str]:
        """Return the releases of a model, oldest version first."""
        ids = (file.stem for file in (self.folder / model).glob("v*.yaml"))
        return sorted(ids, key=lambda release: (int(release[1:].split("-")[0]), release))

    def file(self, model: str, release: str) -> Path:
        """Return where a release is, or would be written."""
        return self.folder / model / f"{release}.yaml"

    def load(self, model: str, release: str) -> Release:
        """Return the release, validated.

        Raise ConfigError naming the expected file and the releases that exist, or every wrong value by line.
        """
        name = f"{self.name}/{model}/{release}.yaml"
        if not self.file(model, release).is_file():
            known = self.ids(model)
            raise ConfigError(
                f"{name}: there is no such release; releases of {model}: {', '.join(known) or 'none yet'}; "
                + suggest(release, known, f"run `stellwerk release {model}`, or name one that exists")
            )
        return read_release(self.file(model, release), name, model, release)


def read_release(file: Path, name: str, model: str, release: str) -> Release:
    """Return one release file, which must be `release` of `model`; raise ConfigError naming every wrong value."""
    document, source = read(file, name, Release)
    wrong = list(_contradictions(document, model, release))
    if wrong:
        raise source.error(wrong)
    return document


def _contradictions(document: Release, model: str, release: str) -> list[Problem]:
    digest = document.artefact.digest.removeprefix("sha256:")
    expected: list[tuple[KeyPath, str, str]] = [
        (("metadata", "model"), document.metadata.model, model),
        (("metadata", "release"), document.metadata.release, release),
        (("metadata", "release"), document.metadata.release.partition("-")[2], digest[:8]),
        (("artefact", "key"), document.artefact.key, object_key(model, document.artefact.digest, "onnx")),
    ]
    if document.examples:
        key = object_key(model, document.examples.digest, "json")
        expected.append((("examples", "key"), document.examples.key, key))
    return differing(expected, "releases are immutable and never edited: restore the file from git")


def object_key(model: str, digest: str, ending: str) -> str:
    """Return the key of a content-addressed object of a model."""
    return f"{model}/{digest.replace(':', '-')}.{ending}"
