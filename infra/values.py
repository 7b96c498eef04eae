"""Loads and validates an environment, from its file or from the values that the engine has."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infra.composition.rules import document_violations, violations
from infra.composition.service import Documents, Stack
from infra.contract.environment import KSERVE as KSERVE
from infra.contract.environment import PLATFORM as PLATFORM
from infra.contract.environment import SERVING as SERVING
from infra.contract.environment import TRAINING as TRAINING
from infra.contract.environment import Environment
from infra.contract.evidence import EvidenceFolder
from infra.contract.model import Models
from infra.contract.problems import ConfigError, Problem, Source, problems, show
from infra.contract.release import Release, Releases
from infra.contract.stacks import NAMESPACE as NAMESPACE
from infra.contract.stacks import StackFiles
from infra.contract.stacks import file_name as file_name
from infra.contract.testset import TestSets
from infra.discovery import Services, known

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Loaded:
    """A validated environment with its services, its serving and previous releases by (model, release), its file."""

    stack: Stack
    releases: Mapping[tuple[str, str], Release]
    source: Source

    @property
    def environment(self) -> Environment:
        """Return the values."""
        return self.stack.environment


@dataclass(frozen=True)
class Folders:
    """The documents of a checkout that environments refer to."""

    releases: Releases
    models: Models
    test_sets: TestSets
    evidence: EvidenceFolder

    @classmethod
    def of(cls, root: Path) -> "Folders":
        """Return those of the checkout at `root`."""
        stacks = root / "stacks"
        return cls(
            Releases(stacks / "releases"),
            Models(root / "models"),
            TestSets(stacks / "testsets"),
            EvidenceFolder(stacks / "evidence"),
        )


def from_file(
    environment: str,
    root: Path = ROOT,
    *,
    services: Services | None = None,
    files: StackFiles | None = None,
    only: Collection[str] | None = None,
) -> Loaded:
    """Return the environment as its file and what environments share say, without Pulumi and without secrets.

    Who keeps what was read of stack files gives `files`. Where models are given, releases of `only` these are read.
    Raise ConfigError with one message for everything that is wrong.
    """
    files = files or StackFiles(root)
    values = files.values(files.require(environment))
    return validate(values, environment, files, Folders.of(root), services or known(), only)


def validate(
    values: Mapping[str, Any],
    name: str,
    files: StackFiles,
    folders: Folders,
    services: Services,
    only: Collection[str] | None = None,
) -> Loaded:
    """Return merged values as a typed environment with its releases.

    Releases are those of all models, or of `only` these. Raise ConfigError on the first group of problems.
    """
    source = files.source(name)
    stack = typed(values, source, services)
    environment = stack.environment
    broken = [*violations(stack, files.every), *files.path_problems(name, environment.releases_from)]
    if environment.environment != name:
        broken.append(
            Problem(("environment",), show(environment.environment), f"{name}, the stack's name", f"set it to {name}")
        )
    if broken:
        raise source.error(broken)
    releases = _releases(stack, source, folders.releases, only)
    documents = Documents(releases, folders.models, folders.test_sets, folders.evidence)
    if broken := list(document_violations(stack, documents)):
        raise source.error(broken)
    return Loaded(stack, documents.releases, source)


def typed(values: Mapping[str, Any], source: Source, services: Services) -> Stack:
    """Return merged values with their services, before any rule is looked at; raise ConfigError for a wrong type."""
    try:
        environment = services.document.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise source.error(problems(error, services.document)) from None
    return services.stack(environment)


def _releases(
    stack: Stack, source: Source, store: Releases, only: Collection[str] | None
) -> dict[tuple[str, str], Release]:
    """Return the releases that the environment points to by (model, release).

    Raise ConfigError, with the line of the pointer, for one that does not exist or is not valid.
    """
    releases: dict[tuple[str, str], Release] = {}
    for pointer in stack.pointers():
        if only is not None and pointer.model not in only:
            continue
        try:
            releases[pointer.model, pointer.release] = store.load(pointer.model, pointer.release)
        except ConfigError as error:
            place = source.where(pointer.path)
            raise ConfigError(f"{place}: {source.key(pointer.path)}: {pointer.release}\n{error}") from None
    return releases
