"""Releases: immutable documents in `stacks/releases/<model>/<release>.yaml`, shared by the program and the command."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from infra.contract.artefact import Artefact, ExampleRows, ModelFile, StoredObject, file_key, object_key
from infra.contract.evaluation import Evaluation, TrainedEvaluation
from infra.contract.evaluation import Gate as Gate
from infra.contract.evaluation import Operator as Operator
from infra.contract.evaluation import Task as Task
from infra.contract.fields import Digest, Name, PinnedImage, ReleaseId, Section
from infra.contract.problems import ConfigError, KeyPath, Problem, Source, read_text, suggest
from infra.contract.provenance import Data, Origin, Run, Time, TrainingRecord
from infra.contract.reading import differing, parse, tree

_RESTORE = "releases are immutable and never edited: restore the file from git"


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


class Metadata(Section):
    """Which release this is."""

    model: Name
    release: ReleaseId
    created: Time


class Serving(Section):
    """What serves the artefact."""

    image: PinnedImage
    hooks: Digest | None = Field(
        default=None, description="digest of the model's own code in the image, through which every answer comes"
    )


class Tensor(Section):
    """One input or output; a dimension of -1 is open."""

    name: str = Field(min_length=1)
    datatype: DataType = Field(description="a data type of the Open Inference Protocol v2, such as FP32")
    shape: tuple[Annotated[int, Field(ge=-1)], ...] = Field(min_length=1, description="a list of sizes, -1 if open")


class Interface(Section):
    """The model's inputs and outputs."""

    inputs: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[Tensor, ...] = Field(min_length=1)


class Statistics(Section):
    """Per-feature mean and standard deviation of one input."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Reference(Section):
    """Reference statistics for drift, by input name."""

    inputs: dict[str, Statistics]


class _Common(Section):
    """What releases of each version say."""

    api_version: str
    kind: Literal["Release"] = Field(description="Release")
    metadata: Metadata
    artefact: ModelFile
    serving: Serving
    training: TrainingRecord | None
    data: Data | None
    run: Run | None
    interface: Interface
    evaluation: Evaluation | None
    reference: Reference
    # Absent in releases from before training Jobs published them.
    examples: ExampleRows | None = Field(default=None, description="held-out rows with labels and expected answers")
    requirements: tuple[str, ...] = Field(default=(), description="a list of requirement ids")


class ReleaseV1(_Common):
    """A release of version 1: of a training Job, and one file."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    training: TrainingRecord
    data: Data
    run: Run
    evaluation: TrainedEvaluation


class Release(_Common):
    """One immutable model release; one of version 1 is read as such a one."""

    api_version: Literal["stellwerk.dev/v2"] = Field(description="stellwerk.dev/v2")
    artefact: Artefact
    training: TrainingRecord | None = Field(default=None, description="what trained it; absent of an imported model")
    data: Data | None = Field(default=None, description="what it was trained or, imported, evaluated with")
    run: Run | None = Field(default=None, description="where it is tracked; absent of an imported model")
    evaluation: Evaluation | None = Field(default=None, description="absent of an imported model that nobody evaluated")
    origin: Origin | None = Field(default=None, description="of an imported model: by whom and from where")

    @property
    def model_files(self) -> dict[str, StoredObject]:
        """Return every file that a pod needs, by what messages call it."""
        return {"artefact": self.artefact, **{f"file {file.name}": file for file in self.artefact.files}}

    @property
    def objects(self) -> dict[str, StoredObject]:
        """Return every object of the store, by what messages call it."""
        return self.model_files | ({"examples": self.examples} if self.examples else {})


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
        return sorted(ids, key=lambda release: (number(release), release))

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


def number(release: str) -> int:
    """Return the number of a release by its id: of two, the later one has the greater."""
    return int(release[1:].partition("-")[0])


def read_release(file: Path, name: str, model: str, release: str) -> Release:
    """Return one release file, which must be `release` of `model`; raise ConfigError naming every wrong value."""
    text = read_text(file, name)
    given = tree(text, name)
    document: Release
    source: Source
    if isinstance(given, dict) and given.get("apiVersion") == "stellwerk.dev/v1":
        older, source = parse(text, name, ReleaseV1)
        document = _lifted(older)
    else:
        document, source = parse(text, name, Release)
    wrong = [*_contradictions(document, model, release), *_lacks(document)]
    if wrong:
        raise source.error(wrong)
    return document


def _lifted(older: ReleaseV1) -> Release:
    """Return a release of version 1 as one of today."""
    parts = {"api_version": "stellwerk.dev/v2", "artefact": Artefact.model_construct(**dict(older.artefact))}
    # Its parts are valid already.
    return Release.model_construct(**(dict(older) | parts))


def _contradictions(document: Release, model: str, release: str) -> list[Problem]:
    artefact = document.artefact
    digest = artefact.digest.removeprefix("sha256:")
    expected: list[tuple[KeyPath, str, str]] = [
        (("metadata", "model"), document.metadata.model, model),
        (("metadata", "release"), document.metadata.release, release),
        (("metadata", "release"), document.metadata.release.partition("-")[2], digest[:8]),
        (("artefact", "key"), artefact.key, object_key(model, artefact.digest, artefact.format.ending)),
        *(
            (("artefact", "files", index, "key"), file.key, file_key(model, file.digest))
            for index, file in enumerate(artefact.files)
        ),
    ]
    if document.examples:
        key = object_key(model, document.examples.digest, "json")
        expected.append((("examples", "key"), document.examples.key, key))
    return differing(expected, _RESTORE)


def _lacks(document: Release) -> Iterator[Problem]:
    """Yield what a trained release lacks or an imported one has too much."""
    for key in ("training", "data", "run", "evaluation"):
        if document.origin is None and getattr(document, key) is None:
            yield Problem((key,), "nothing", "a value, or `origin` of a model that was imported", _RESTORE)
    for key in ("training", "run"):
        if document.origin is not None and getattr(document, key) is not None:
            yield Problem((key,), "a value", "nothing beside `origin`: an imported model has no training run", _RESTORE)
