"""Loads and validates an environment, from its file or from the values that the engine has."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infra.composition.rules import violations
from infra.composition.service import Stack
from infra.contract.environment import ENVIRONMENTS as ENVIRONMENTS
from infra.contract.environment import KSERVE as KSERVE
from infra.contract.environment import PLATFORM as PLATFORM
from infra.contract.environment import SERVING as SERVING
from infra.contract.environment import TRAINING as TRAINING
from infra.contract.environment import Environment
from infra.contract.environment import file_name as file_name
from infra.contract.problems import ConfigError, Problem, Source, parse, parse_text, plain, problems, show, suggest
from infra.contract.release import Release, Releases
from infra.discovery import Services, known
from infra.services.serving.capacity import too_large
from infra.services.serving.section import pointed_releases

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "stellwerk"


@dataclass(frozen=True)
class Loaded:
    """A validated environment with its services, and its serving and previous releases by (model, release)."""

    stack: Stack
    releases: Mapping[tuple[str, str], Release]

    @property
    def environment(self) -> Environment:
        """The values."""
        return self.stack.environment


def from_file(
    environment: str,
    root: Path = ROOT,
    *,
    services: Services | None = None,
    text: str | None = None,
    releases: Releases | None = None,
) -> Loaded:
    """Return the environment as its file says, without Pulumi and without secrets.

    Who has read the file already gives its `text`, who keeps what was read of releases gives `releases`. Raise
    ConfigError with one message for everything that is wrong.
    """
    if environment not in ENVIRONMENTS:
        action = suggest(environment, ENVIRONMENTS, "choose one of them")
        raise ConfigError(f"environment {show(environment)}: unknown; allowed: {', '.join(ENVIRONMENTS)}; {action}")
    name = file_name(environment)
    tree = parse(root / name, name) if text is None else parse_text(text, name)
    config = plain(tree).get("config", {}) if isinstance(tree, Mapping) else {}
    values = {key: value for key, value in own(config).items() if not _is_secure(value)}
    releases = releases or Releases(root / "stacks" / "releases")
    return validate(values, environment, Source(name, tree, NAMESPACE), releases, services or known())


def source(stack: str, root: Path) -> Source:
    """Return the stack's file for messages; without a tree, and so lines, where the values come from another file."""
    name = file_name(stack)
    return Source(name, parse(root / name, name) if (root / name).is_file() else None, NAMESPACE)


def validate(values: Mapping[str, Any], name: str, source: Source, store: Releases, services: Services) -> Loaded:
    """Return the values as a typed environment with its releases; raise ConfigError on the first group of problems."""
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
    releases = pointed_releases(environment, source, store)
    if impossible := list(too_large(environment, releases)):
        raise source.error(impossible)
    return Loaded(stack, releases)


def own(config: Any) -> dict[str, Any]:
    """Return the values of this project's namespace, by their keys without it."""
    prefix = f"{NAMESPACE}:"
    if not isinstance(config, Mapping):
        return {}
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}


def _is_secure(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"secure"}
