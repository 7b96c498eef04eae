"""Reading of a document's file into its type, with errors that name file and line."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from infra.contract.fields import Section
from infra.contract.plain import Unsure, read_plain
from infra.contract.problems import KeyPath, Place, Problem, Source, problems, read_text, show

Document = TypeVar("Document", bound=Section)


def read(file: Path, name: str, kind: type[Document]) -> tuple[Document, Source]:
    """Return the document and its source, for further messages; raise ConfigError naming every wrong value by line.

    `name` is the file's name in messages.
    """
    return parse(read_text(file, name), name, kind)


def parse(text: str, name: str, kind: type[Document]) -> tuple[Document, Source]:
    """Return the document that a text is, as `read` does."""
    source = positioned(lambda: text, name)
    try:
        return kind.model_validate_json(json.dumps(tree(text, name))), source
    except ValidationError as error:
        raise source.error(problems(error, kind)) from None


def positioned(read: Callable[[], str | None], name: str, namespace: str = "", base: Source | None = None) -> Source:
    """Return the source of a text for messages: read, and parsed with positions, when the first of them is made."""

    def place(path: KeyPath) -> Place:
        # Loaded for messages alone: it takes long, and most files are right.
        from infra.contract import positions

        text = read()
        return Place() if text is None else positions.place(positions.parse_text(text, name), path)

    return Source(name, place, namespace, base)


@lru_cache(maxsize=64)
def tree(text: str, name: str) -> Any:
    """Return a YAML text as dict, list and scalars; raise ConfigError with the line where it is not YAML.

    An equal text is read once: what is returned is shared, and nobody changes it.
    """
    try:
        return read_plain(text)
    except Unsure:
        from infra.contract.positions import parse_text

        return _plain(parse_text(text, name))


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return node


def differing(expected: Iterable[tuple[KeyPath, Any, Any]], action: str) -> list[Problem]:
    """Return a problem for each (path, given, allowed) whose values differ."""
    return [Problem(path, show(given), show(allowed), action) for path, given, allowed in expected if given != allowed]
