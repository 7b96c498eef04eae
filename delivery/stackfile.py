"""Edits of `stacks/Pulumi.<env>.yaml` that leave every other line as it is."""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import LiteralScalarString

from delivery.errors import DeliveryError
from infra.values import NAMESPACE, ROOT, file_name

# The key of a line, and its value up to a comment.
_VALUE = re.compile(r"^([^:]+:)([ \t]+[^\s#]+)?")


class _Representer(RoundTripRepresenter):
    """Writes null out, as the files do."""


_Representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null"))


def path(environment: str) -> Path:
    """The stack file."""
    return ROOT / file_name(environment)


def config(environment: str) -> dict[str, Any]:
    """The values under `config:`, encrypted ones included."""
    found: dict[str, Any] = YAML(typ="safe").load(path(environment).read_text(encoding="utf-8"))["config"]
    return found


def point(environment: str, model: str, release: str | None, previous: str | None) -> str:
    """The file's text with the pointers of `model` changed, and no other line; writes nothing.

    Raises DeliveryError when the environment does not serve the model.
    """
    text = path(environment).read_text(encoding="utf-8")
    models = YAML(typ="rt").load(text)["config"].get(f"{NAMESPACE}:models") or {}
    if model not in models:
        known = ", ".join(models) or "none"
        raise DeliveryError(
            f"{file_name(environment)}: stellwerk:models has no {model!r}; models there: {known}; add it first"
        )
    node = models[model]
    wanted = {"release": release, "previous": previous}
    if node.fa.flow_style() or "release" not in node:
        return _edited(environment, lambda config: config[f"{NAMESPACE}:models"][model].update(wanted))
    lines = text.splitlines(keepends=True)
    for key, value in wanted.items():
        if key in node and node[key] != value:
            place = node.lc.key(key)[0]
            lines[place] = _VALUE.sub(rf"\g<1> {value or 'null'}", lines[place], count=1)
    if "previous" not in node:
        place, column = node.lc.key("release")
        lines.insert(place + 1, f"{' ' * column}previous: {previous or 'null'}\n")
    return "".join(lines)


def add(environment: str, values: dict[str, Any]) -> None:
    """Sets keys of the namespace; texts of several lines become block scalars."""

    def change(config: Any) -> None:
        for key, value in values.items():
            block = isinstance(value, str) and "\n" in value
            config[f"{NAMESPACE}:{key}"] = LiteralScalarString(value) if block else value

    write(environment, _edited(environment, change))


def forget_secrets(environment: str) -> bool:
    """Takes away what only the passphrase of another stack opens; False when there is nothing of the kind."""
    text = path(environment).read_text(encoding="utf-8")
    document = YAML(typ="rt").load(text)
    if "encryptionsalt" not in document:
        return False

    def change(document: Any) -> None:
        del document["encryptionsalt"]
        document["config"].pop(f"{NAMESPACE}:credentials", None)

    write(environment, _rewritten(text, change))
    return True


def write(environment: str, text: str) -> None:
    """Replaces the file in one step."""
    target = path(environment)
    partial = target.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, target)


def _edited(environment: str, change: Callable[[Any], None]) -> str:
    text = path(environment).read_text(encoding="utf-8")
    return _rewritten(text, lambda document: change(document["config"]))


def _rewritten(text: str, change: Callable[[Any], None]) -> str:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    # As Pulumi itself writes lists.
    yaml.indent(mapping=2, sequence=4, offset=2)
    # Encrypted values are long lines, and stay such.
    yaml.width = 1 << 20
    yaml.Representer = _Representer
    document = yaml.load(text)
    change(document)
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()
