"""An environment and its credentials as the engine gives them to the running program."""

import json
from pathlib import Path
from typing import Any

import pulumi

from infra.clusters.configuration import validate as validate_cluster
from infra.composition import credentials
from infra.composition.credentials import Credentials
from infra.contract.cluster import EksCluster
from infra.contract.stacks import TARGET, StackFiles, file_name, own
from infra.discovery import Services
from infra.values import Folders, Loaded, validate


def from_program(root: Path, services: Services, moved: str | None) -> tuple[Loaded, Credentials]:
    """Return what the program composes; raise ConfigError with one message for everything that is wrong.

    Where one model alone is `moved`, releases of others are not read.
    """
    stack, files = pulumi.get_stack(), StackFiles(root)
    values = given()
    raw = values.pop(credentials.KEY, None)
    # The engine knows the stack file alone.
    only = None if moved is None else (moved,)
    loaded = validate(files.merged(values), stack, files, Folders.of(root), services, only)
    text = raw if raw is None or isinstance(raw, str) else json.dumps(raw)
    return loaded, credentials.read(text, loaded.stack, file_name(stack))


def given() -> dict[str, Any]:
    """Return the values of the running program's stack file, by their keys."""
    held = pulumi.runtime.config.get_config_env() | pulumi.runtime.config.CONFIG.get()
    return {key: _structured(value) for key, value in own(held).items()}


def cluster(root: Path) -> EksCluster:
    """Return the cluster that the program composes; raise ConfigError with one message for everything that is wrong."""
    # What every project's stacks have: an environment's name, which a cluster has none of.
    values = {key: value for key, value in given().items() if key != "environment" or value is not None}
    return validate_cluster(values, pulumi.get_stack(), StackFiles(root))


def makes_cluster() -> bool:
    """Return whether the running program's stack makes a cluster."""
    return TARGET in given()


def _structured(value: str | None) -> Any:
    """Return the value that a text stands for: null and structured values arrive as JSON, anything else as it is."""
    if value is None or not value.startswith(("{", "[", "null")):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
