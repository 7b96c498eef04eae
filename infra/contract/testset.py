"""Test sets: curated rows that a release is held against where it is promoted to, apart from the data it learnt of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from infra.contract.artefact import StoredObject
from infra.contract.data import TEST_FOLDER, table_key
from infra.contract.fields import Name, ReleaseId, Section
from infra.contract.problems import ConfigError, KeyPath, suggest
from infra.contract.provenance import Time
from infra.contract.reading import differing, read

# A table, or a document of example rows.
ENDINGS = (".csv", ".json")


class TestSetMetadata(Section):
    """Whose test set this is, and which version."""

    model: Name
    version: ReleaseId = Field(description="a version such as v1-3f2a9c1d: its number, the beginning of its digest")
    created: Time


class TestSet(Section):
    """One immutable test set of a model."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["TestSet"] = Field(description="TestSet")
    metadata: TestSetMetadata
    rows: StoredObject = Field(description="the file with the rows, in the store of each environment that tests on it")


def gate(version: str) -> str:
    """Return the name of the gate that a test set is, as evidence has it."""
    return f"testset-{version}"


def key(model: str, digest: str, ending: str) -> str:
    """Return the key of a test set's file in the bucket of models."""
    return table_key(TEST_FOLDER, model, digest, ending)


@dataclass(frozen=True)
class TestSets:
    """The folder of test sets, `stacks/testsets`; `name` is the folder's name in messages."""

    folder: Path
    name: str = "stacks/testsets"

    def versions(self, model: str) -> list[str]:
        """Return the versions of a model's test sets, oldest first."""
        return sorted((file.stem for file in (self.folder / model).glob("v*.yaml")), key=_number)

    def file(self, model: str, version: str) -> Path:
        """Return where a test set is, or would be written."""
        return self.folder / model / f"{version}.yaml"

    def load(self, model: str, version: str) -> TestSet:
        """Return the test set; raise ConfigError naming the ones that exist, or every wrong value by line."""
        name = f"{self.name}/{model}/{version}.yaml"
        if not self.file(model, version).is_file():
            known = self.versions(model)
            raise ConfigError(
                f"{name}: there is no such test set; those of {model}: {', '.join(known) or 'none yet'}; "
                + suggest(version, known, f"run `stellwerk data push {model} FILE --test-set --env …`")
            )
        document, source = read(self.file(model, version), name, TestSet)
        wrong = differing(_expected(document, model, version), "test sets are immutable: restore the file from git")
        if wrong:
            raise source.error(wrong)
        return document


def _number(version: str) -> tuple[int, str]:
    return int(version[1:].split("-")[0]), version


def _expected(document: TestSet, model: str, version: str) -> Iterator[tuple[KeyPath, object, object]]:
    said, digest = document.metadata, document.rows.digest
    yield ("metadata", "model"), said.model, model
    yield ("metadata", "version"), said.version, version
    yield ("rows", "digest"), digest[7:15], version.partition("-")[2]
    yield ("rows", "key"), document.rows.key, key(model, digest, Path(document.rows.key).suffix)
