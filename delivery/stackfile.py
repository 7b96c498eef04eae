"""Edits of `stacks/Pulumi.<env>.yaml` that leave every other line as it is."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from delivery.errors import DeliveryError
from infra.values import NAMESPACE, ROOT, file_name


def path(environment: str) -> Path:
    """The stack file."""
    return ROOT / file_name(environment)


def config(environment: str) -> dict[str, Any]:
    """The values under `config:`, encrypted ones included."""
    found: dict[str, Any] = YAML(typ="safe").load(path(environment).read_text(encoding="utf-8"))["config"]
    return found


def point(environment: str, model: str, release: str | None, previous: str | None) -> str:
    """The file's text with the pointers of `model` changed; writes nothing.

    Raises DeliveryError when the environment does not serve the model.
    """

    def change(config: Any) -> None:
        models = config.get(f"{NAMESPACE}:models") or {}
        if model not in models:
            known = ", ".join(models) or "none"
            raise DeliveryError(
                f"{file_name(environment)}: stellwerk:models has no {model!r}; models there: {known}; add it first"
            )
        models[model]["release"] = release
        models[model]["previous"] = previous

    return _edited(environment, change)


def add(environment: str, values: dict[str, Any]) -> None:
    """Sets keys of the namespace; texts of several lines become block scalars."""

    def change(config: Any) -> None:
        for key, value in values.items():
            block = isinstance(value, str) and "\n" in value
            config[f"{NAMESPACE}:{key}"] = LiteralScalarString(value) if block else value

    write(environment, _edited(environment, change))


def write(environment: str, text: str) -> None:
    """Replaces the file in one step."""
    target = path(environment)
    partial = target.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, target)


def _edited(environment: str, change: Callable[[Any], None]) -> str:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    # As Pulumi itself writes lists.
    yaml.indent(mapping=2, sequence=4, offset=2)
    # Encrypted values are long lines, and stay such.
    yaml.width = 1 << 20
    # null is written out, as in the files.
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    document = yaml.load(path(environment).read_text(encoding="utf-8"))
    change(document["config"])
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()
