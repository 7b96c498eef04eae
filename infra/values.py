"""Loads and validates an environment, from Pulumi's configuration or straight from its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pydantic import ValidationError

from infra import credentials as secrets
from infra.capacity import too_large
from infra.contract.environment import Environment
from infra.contract.problems import ConfigError, Problem, Source, parse, plain, problems, show, suggest
from infra.contract.release import Release, Releases
from infra.credentials import Credentials
from infra.rules import violations

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "stellwerk"
ENVIRONMENTS = ("dev", "test", "prod")
# Purposes of namespaces: `<environment>-<purpose>`.
PLATFORM, TRAINING, SERVING = "platform", "training", "serving"
# Of the controller whose rights reach across namespaces: no role has any there.
KSERVE = "kserve"


@dataclass(frozen=True)
class Loaded:
    """A validated environment, and its serving and previous releases by (model, release)."""

    environment: Environment
    releases: Mapping[tuple[str, str], Release]

    def serving(self, model: str) -> Release | None:
        """The release that serves a model, None while there is none."""
        release = self.environment.models[model].release
        return self.releases[model, release] if release else None


def file_name(environment: str) -> str:
    """The stack file of an environment, as messages name it."""
    return f"stacks/Pulumi.{environment}.yaml"


def from_file(environment: str, root: Path = ROOT) -> Loaded:
    """The environment as its file says, without Pulumi and without secrets.

    Raises ConfigError with one message for everything that is wrong.
    """
    if environment not in ENVIRONMENTS:
        action = suggest(environment, ENVIRONMENTS, "choose one of them")
        raise ConfigError(f"environment {show(environment)}: unknown; allowed: {', '.join(ENVIRONMENTS)}; {action}")
    name = file_name(environment)
    tree = parse(root / name, name)
    config = plain(tree).get("config", {}) if isinstance(tree, Mapping) else {}
    values = {key: value for key, value in _own(config).items() if not _is_secure(value)}
    return validate(values, environment, Source(name, tree, NAMESPACE), Releases(root / "stacks" / "releases"))


def from_program() -> tuple[Loaded, Credentials]:
    """The environment and its credentials as the engine gives them to the running program.

    Raises ConfigError with one message for everything that is wrong.
    """
    stack = pulumi.get_stack()
    given = pulumi.runtime.config.get_config_env() | pulumi.runtime.config.CONFIG.get()
    values = {key: _structured(value) for key, value in _own(given).items()}
    raw = values.pop(secrets.KEY, None)
    loaded = validate(values, stack, source(stack), Releases(ROOT / "stacks" / "releases"))
    text = raw if raw is None or isinstance(raw, str) else json.dumps(raw)
    return loaded, secrets.read(text, loaded.environment, file_name(stack))


def source(stack: str) -> Source:
    """The stack's file, for messages that name a line; without a tree where the values come from another file."""
    name = file_name(stack)
    return Source(name, parse(ROOT / name, name) if (ROOT / name).is_file() else None, NAMESPACE)


def validate(values: Mapping[str, Any], stack: str, source: Source, releases: Releases) -> Loaded:
    """The values as a typed environment with its releases; raises ConfigError on the first group of problems."""
    try:
        environment = Environment.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise source.error(problems(error, Environment)) from None
    broken = list(violations(environment))
    if environment.environment != stack:
        broken.append(
            Problem(("environment",), show(environment.environment), f"{stack}, the stack's name", f"set it to {stack}")
        )
    if broken:
        raise source.error(broken)
    known = _releases(environment, source, releases)
    if impossible := list(too_large(environment, known)):
        raise source.error(impossible)
    return Loaded(environment, known)


def _releases(environment: Environment, source: Source, store: Releases) -> dict[tuple[str, str], Release]:
    found: dict[tuple[str, str], Release] = {}
    for name, model in environment.models.items():
        for pointer in ("release", "previous"):
            release = getattr(model, pointer)
            if release is None:
                continue
            try:
                found[name, release] = store.load(name, release)
            except ConfigError as error:
                path = ("models", name, pointer)
                line = source.line(path)
                place = f"{source.name}:{line}" if line else source.name
                raise ConfigError(f"{place}: {source.key(path)}: {release}\n{error}") from None
    return found


def _own(config: Any) -> dict[str, Any]:
    prefix = f"{NAMESPACE}:"
    if not isinstance(config, Mapping):
        return {}
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}


def _is_secure(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"secure"}


def _structured(value: str) -> Any:
    """Structured values arrive as JSON text; anything else is the text itself."""
    if not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
