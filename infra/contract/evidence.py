"""Evidence: what an environment found out about a release, `stacks/evidence/<model>/<release>/<env>-<gate>.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from infra.contract.fields import Digest, Name, PinnedImage, ReleaseId, Section
from infra.contract.problems import KeyPath
from infra.contract.provenance import Time
from infra.contract.reading import differing, read


class EvidenceMetadata(Section):
    """What was looked at, where, by which gate, and when."""

    model: Name
    release: ReleaseId
    environment: Name
    gate: Name
    created: Time


class Subject(Section):
    """What was running, by digest."""

    artefact: Digest
    serving_image: PinnedImage
    # Absent where a gate has no data of its own.
    test_set: Digest | None = Field(default=None, description="the digest of the rows that it was tested on")


class Result(Section):
    """What came out."""

    passed: bool = Field(description="true or false")
    values: dict[str, float] = Field(description="the measured values by name")


class Evidence(Section):
    """The result of one gate in one environment; immutable."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Evidence"] = Field(description="Evidence")
    metadata: EvidenceMetadata
    subject: Subject
    result: Result


@dataclass(frozen=True)
class EvidenceFolder:
    """The folder of evidence, `stacks/evidence`; `name` is the folder's name in messages."""

    folder: Path
    name: str = "stacks/evidence"

    def file(self, model: str, release: str, environment: str, gate: str) -> Path:
        """Return where the evidence of a gate is, or would be written."""
        return self.folder / model / release / f"{environment}-{gate}.yaml"

    def of(self, model: str, release: str) -> list[Evidence]:
        """Return all evidence about a release, by file name; raise ConfigError naming every wrong value."""
        return [self._load(file, model, release) for file in sorted((self.folder / model / release).glob("*.yaml"))]

    def _load(self, file: Path, model: str, release: str) -> Evidence:
        document, source = read(file, f"{self.name}/{model}/{release}/{file.name}", Evidence)
        said = document.metadata
        expected: list[tuple[KeyPath, object, object]] = [
            (("metadata", "model"), said.model, model),
            (("metadata", "release"), said.release, release),
            (("metadata", "gate"), f"{said.environment}-{said.gate}", file.stem),
            (("subject", "artefact"), document.subject.artefact[7:15], release.partition("-")[2]),
        ]
        wrong = differing(expected, "evidence is immutable and never edited: restore the file from git")
        if wrong:
            raise source.error(wrong)
        return document
