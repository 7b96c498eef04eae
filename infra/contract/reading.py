"""Reading of a document's file into its type, with errors that name file and line."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from infra.contract.fields import Section
from infra.contract.problems import KeyPath, Problem, Source, parse, plain, problems, show

Document = TypeVar("Document", bound=Section)


def read(file: Path, name: str, kind: type[Document]) -> tuple[Document, Source]:
    """Return the document and its source, for further messages; raise ConfigError naming every wrong value by line.

    `name` is the file's name in messages.
    """
    tree = parse(file, name)
    source = Source(name, lambda: tree)
    try:
        return kind.model_validate_json(json.dumps(plain(tree))), source
    except ValidationError as error:
        raise source.error(problems(error, kind)) from None


def differing(expected: Iterable[tuple[KeyPath, Any, Any]], action: str) -> list[Problem]:
    """Return a problem for each (path, given, allowed) whose values differ."""
    return [Problem(path, show(given), show(allowed), action) for path, given, allowed in expected if given != allowed]
