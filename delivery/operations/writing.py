"""Documents that are written once and never again: releases, evidence, test sets."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from delivery.errors import DeliveryError, system_errors
from infra.contract.fields import Section


def identity_after(known: Sequence[str], digest: str) -> str:
    """Return the id that follows the `known` ones, oldest first, for a release or a test set of this digest."""
    number = int(known[-1][1:].split("-")[0]) + 1 if known else 1
    return f"v{number}-{digest.removeprefix('sha256:')[:8]}"


def write_once(document: Section, file: Path, name: str, what: str, command: str) -> None:
    """Write the file whole or not at all; raise DeliveryError when there is one already, or it cannot be written.

    Messages call the file `name` and the document `what`; `command` makes such documents.
    """
    text = as_text(document, f"Written by `{command}`; immutable.")
    folder = Path(name).parents[1]
    with system_errors(
        f"writing the {what}", f"free some space and make {folder} writable, then run the command again"
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Two commands may write the same document at once: each has a file of its own.
        partial = file.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_text(text, encoding="utf-8")
            os.link(partial, file)
        except FileExistsError:
            raise DeliveryError(f"{name} exists already, and such a document stays as it is") from None
        finally:
            partial.unlink(missing_ok=True)


def as_text(document: Section, comment: str) -> str:
    """Return a document as YAML with a comment above it; what is null is left out."""
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    text.write(f"# {comment}\n")
    yaml.dump(_rows(document.model_dump(mode="json", by_alias=True, exclude_none=True)), text)
    return text.getvalue()


def _rows(value: Any) -> Any:
    """Return the document with lists of numbers as rows instead of one number a line."""
    if isinstance(value, dict):
        return {key: _rows(item) for key, item in value.items()}
    if isinstance(value, list):
        rows = CommentedSeq(_rows(item) for item in value)
        if not any(isinstance(item, dict | list) for item in value):
            rows.fa.set_flow_style()
        return rows
    return value
