"""An environment and its credentials as the engine gives them to the running program."""

import json
from pathlib import Path
from typing import Any

import pulumi

from infra.composition import credentials
from infra.composition.credentials import Credentials
from infra.contract.stacks import StackFiles, file_name, own
from infra.discovery import Services
from infra.values import Folders, Loaded, validate


def from_program(root: Path, services: Services, moved: str | None) -> tuple[Loaded, Credentials]:
    """Return what the program composes; raise ConfigError with one message for everything that is wrong.

    Where one model alone is `moved`, releases of others are not read.
    """
    stack, files = pulumi.get_stack(), StackFiles(root)
    given = pulumi.runtime.config.get_config_env() | pulumi.runtime.config.CONFIG.get()
    values = {key: _structured(value) for key, value in own(given).items()}
    raw = values.pop(credentials.KEY, None)
    # The engine knows the stack file alone.
    only = None if moved is None else (moved,)
    loaded = validate(files.merged(values), stack, files, Folders.of(root), services, only)
    text = raw if raw is None or isinstance(raw, str) else json.dumps(raw)
    return loaded, credentials.read(text, loaded.stack, file_name(stack))


def _structured(value: str | None) -> Any:
    """Return the value that a text stands for: null and structured values arrive as JSON, anything else as it is."""
    if value is None or not value.startswith(("{", "[", "null")):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
