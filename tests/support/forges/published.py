"""What is sent to a forge, held against the forge's published OpenAPI document."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from openapi_schema_validator import OAS30Validator

_FOLDER = Path(__file__).parent


class Published:
    """The operations of a document, by method and path."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._operations = [
            (method.upper(), path, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def operation(self, method: str, path: str) -> tuple[str, Mapping[str, Any], dict[str, str]] | None:
        """Return the published path, the operation, and the values in the path; `path` is still quoted."""
        for name, published_path, pattern, operation in self._operations:
            if name == method and (match := pattern.fullmatch(path)):
                return published_path, operation, {key: unquote(value) for key, value in match.groupdict().items()}
        return None

    def problems(self, method: str, path: str, query: Mapping[str, str], body: Any) -> list[str]:
        """Return all that the document does not allow."""
        known = self.operation(method, path)
        if known is None:
            return [f"{method} {path} is not published"]
        _, operation, values = known
        return [*_parameters(operation, values, query), *_body(operation, body)]


def _parameters(operation: Mapping[str, Any], values: Mapping[str, str], query: Mapping[str, str]) -> Iterator[str]:
    known = {(each["in"], each["name"]): each for each in operation["parameters"]}
    given = {("path", key): value for key, value in values.items()}
    given |= {("query", key): value for key, value in query.items()}
    for place, value in given.items():
        if place not in known:
            yield f"{place[0]} {place[1]} is not published"
        else:
            schema = known[place]["schema"]
            yield from _errors(schema, _typed(schema, value), " ".join(place))
    for place, each in known.items():
        if each.get("required") and place not in given:
            yield f"{place[0]} {place[1]} is needed"


def _body(operation: Mapping[str, Any], body: Any) -> Iterator[str]:
    published = operation.get("requestBody")
    if published is None:
        if body is not None:
            yield "no body is published"
        return
    if body is None:
        if published.get("required"):
            yield "a body is needed"
        return
    schema = published["content"]["application/json"]["schema"]
    yield from _errors(schema, body, "body")
    # The documents allow more than they name; a forge ignores it, so a word that is spelt wrong would go unseen.
    if isinstance(body, Mapping):
        yield from (f"body: {key} is not published" for key in body if key not in schema.get("properties", {}))


def _errors(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    for error in OAS30Validator(schema).iter_errors(value):
        yield f"{place} {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


def _typed(schema: Mapping[str, Any], value: str) -> Any:
    return int(value) if schema.get("type") == "integer" and value.isdecimal() else value


@cache
def published(name: str) -> Published:
    """Return the document in this folder with a name: github, gitlab, bitbucket-cloud, bitbucket-data-center."""
    file = _FOLDER / f"{name}.json"
    if file.exists():
        return Published(json.loads(file.read_text(encoding="utf-8")))
    return Published(yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))
