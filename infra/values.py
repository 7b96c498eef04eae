"""Loads and validates an environment, from its file or from the values that the engine has."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infra.composition.rules import document_violations, violations
from infra.composition.service import Documents, Stack
from infra.contract.environment import ENVIRONMENTS as ENVIRONMENTS
from infra.contract.environment import KSERVE as KSERVE
from infra.contract.environment import PLATFORM as PLATFORM
from infra.contract.environment import SERVING as SERVING
from infra.contract.environment import TRAINING as TRAINING
from infra.contract.environment import Environment
from infra.contract.environment import file_name as file_name
from infra.contract.model import Models
from infra.contract.problems import ConfigError, Problem, Source, problems, read_text, show, suggest
from infra.contract.reading import positioned, tree
from infra.contract.release import Release, Releases
from infra.discovery import Services, known

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "stellwerk"


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

    @classmethod
    def of(cls, root: Path) -> "Folders":
        """Return those of the checkout at `root`."""
        return cls(Releases(root / "stacks" / "releases"), Models(root / "models"))


def from_file(
    environment: str,
    root: Path = ROOT,
    *,
    services: Services | None = None,
    text: str | None = None,
    only: Collection[str] | None = None,
) -> Loaded:
    """Return the environment as its file says, without Pulumi and without secrets.

    Who has read the file already gives its `text`. Where models are given, releases of `only` these are read.
    Raise ConfigError with one message for everything that is wrong.
    """
    if environment not in ENVIRONMENTS:
        action = suggest(environment, ENVIRONMENTS, "choose one of them")
        raise ConfigError(f"environment {show(environment)}: unknown; allowed: {', '.join(ENVIRONMENTS)}; {action}")
    name = file_name(environment)
    text = read_text(root / name, name) if text is None else text
    given = tree(text, name)
    config = given.get("config", {}) if isinstance(given, Mapping) else {}
    values = {key: value for key, value in own(config).items() if not _is_secure(value)}
    origin = positioned(lambda: text, name, NAMESPACE)
    return validate(values, environment, origin, Folders.of(root), services or known(), only)


def source(stack: str, root: Path) -> Source:
    """Return the stack's file for messages; without lines where the values come from another file."""
    name = file_name(stack)
    file = root / name
    return positioned(lambda: read_text(file, name) if file.is_file() else None, name, NAMESPACE)


def validate(
    values: Mapping[str, Any],
    name: str,
    source: Source,
    folders: Folders,
    services: Services,
    only: Collection[str] | None = None,
) -> Loaded:
    """Return the values as a typed environment with its releases, or with those of `only` these models.

    Raise ConfigError on the first group of problems.
    """
    try:
        environment = services.document.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise source.error(problems(error, services.document)) from None
    stack = services.stack(environment)
    broken = list(violations(stack))
    if environment.environment != name:
        broken.append(
            Problem(("environment",), show(environment.environment), f"{name}, the stack's name", f"set it to {name}")
        )
    if broken:
        raise source.error(broken)
    documents = Documents(_releases(stack, source, folders.releases, only), folders.models)
    if broken := list(document_violations(stack, documents)):
        raise source.error(broken)
    return Loaded(stack, documents.releases, source)


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
            line = source.line(pointer.path)
            place = f"{source.name}:{line}" if line else source.name
            raise ConfigError(f"{place}: {source.key(pointer.path)}: {pointer.release}\n{error}") from None
    return releases


def own(config: Any) -> dict[str, Any]:
    """Return the values of this project's namespace, by their keys without it."""
    prefix = f"{NAMESPACE}:"
    if not isinstance(config, Mapping):
        return {}
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}


def _is_secure(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"secure"}
