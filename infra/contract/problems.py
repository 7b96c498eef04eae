"""Configuration errors that name the file, the line, the key, the value, what is allowed and what to do."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from infra.contract.errors import StellwerkError
from infra.contract.fields import NAME_RULE

_LOGIN = re.compile(r"(?<=://)[^/\s@\"]+@")
KeyPath = tuple[str | int, ...]
Given = TypeVar("Given")


class ConfigError(StellwerkError):
    """The configuration is refused; the text is the whole message for the user."""


@dataclass(frozen=True)
class Problem:
    """One refused value: where it stands, what it is, what is allowed, what to do."""

    path: KeyPath
    given: str
    allowed: str
    action: str


@dataclass(frozen=True)
class Place:
    """How many steps of a path stand in a file, the line of the last of them, and whether they are all mappings."""

    steps: int = 0
    line: int | None = None
    mappings: bool = True


@dataclass(frozen=True)
class Source:
    """The file that values come from: its name in messages, what returns the place of a path in it, what is below it.

    Values that do not stand in the file come from `base`.
    """

    name: str
    place: Callable[[KeyPath], Place] = lambda _: Place()
    namespace: str = ""
    base: "Source | None" = None

    def where(self, path: KeyPath) -> str:
        """Return the file where a value stands, and the line of the deepest part of its path."""
        name, line = self._find(path)
        return f"{name}:{line}" if line else name

    def _find(self, path: KeyPath) -> tuple[str, int]:
        inside = self._in_file(path)
        place = self.place(inside)
        if self.base and place.mappings and place.steps < len(inside):
            below = self.base.place(inside)
            if below.steps == len(inside):
                return self.base.name, below.line or 0
        return self.name, place.line or 0

    def _in_file(self, path: KeyPath) -> KeyPath:
        return ("config", f"{self.namespace}:{path[0]}", *path[1:]) if self.namespace and path else path

    def key(self, path: KeyPath) -> str:
        """Return the path as a user writes it: stellwerk:models.<model>.release."""
        text = ".".join(str(step) for step in path)
        return f"{self.namespace}:{text}" if self.namespace else text

    def error(self, problems: Iterable[Problem]) -> ConfigError:
        """Return one message for all problems, in the order of the file, then of what is below it."""

        def order(problem: Problem) -> tuple[bool, int]:
            name, line = self._find(problem.path)
            return name != self.name, line

        ordered = sorted(problems, key=order)
        return ConfigError("\n".join(self._render(problem) for problem in ordered))

    def _render(self, problem: Problem) -> str:
        return (
            f"{self.where(problem.path)}: {self.key(problem.path)}\n"
            f"  given:   {problem.given}\n  allowed: {problem.allowed}\n  do:      {problem.action}"
        )


def read_text(file: Path, name: str) -> str:
    """Return the text of a file, with its line endings as they are; raise ConfigError when it cannot be read."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name}: there is no such file; create it, or choose another environment") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}") from None


def show(value: Any) -> str:
    """Return a value as messages show it: one line of JSON without logins in addresses, cut at 80 characters."""
    text = _LOGIN.sub("…@", json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else text[:77] + "…"


def suggest(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return what to do about an unknown word."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else otherwise


def required(path: KeyPath, value: object, allowed: str) -> Iterator[Problem]:
    """Yield a problem where a value is absent that another one makes necessary."""
    if value is None:
        yield Problem(path, "nothing", allowed, "add the key, or change the mode")


def proved(value: Given | None) -> Given:
    """Return a value whose presence a rule has proved with `required`; raise AssertionError where no rule has."""
    if value is None:
        raise AssertionError("a value is absent that a rule of its service has to require")
    return value


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return pydantic's errors in the words of the schema's descriptions."""
    schema = model.model_json_schema()
    return [_problem(detail["type"], detail, schema) for detail in error.errors(include_url=False)]


def _problem(kind: str, detail: Any, schema: dict[str, Any]) -> Problem:
    path: KeyPath = tuple(step for step in detail["loc"] if step != "[key]")
    node = _at(schema, path)
    description = str(node.get("description") or _shape(node) or detail["msg"])
    if kind == "missing":
        return Problem(path, "nothing", description, "add the key")
    if kind == "extra_forbidden":
        known = sorted(_at(schema, path[:-1]).get("properties", {}))
        return Problem(
            path,
            f"the unknown key {path[-1]}",
            ", ".join(known),
            suggest(str(path[-1]), known, "remove the key"),
        )
    if "[key]" in detail["loc"]:
        return Problem(path, f"the name {show(path[-1])}", NAME_RULE, "rename the key")
    if kind == "value_error":
        description = str(detail["ctx"]["error"])
    return Problem(path, show(detail["input"]), description, _action(detail["input"], node))


def _action(value: Any, node: dict[str, Any]) -> str:
    choices = [str(choice) for choice in node.get("enum", [])]
    if isinstance(value, str) and choices:
        return suggest(value, choices, "choose one of them")
    if isinstance(value, int | float) and not isinstance(value, bool) and node.get("type") == "string":
        return f'put it in quotes: "{value}"'
    return "correct the value"


def _shape(node: dict[str, Any]) -> str:
    if node.get("properties"):
        return "a mapping with the keys " + ", ".join(sorted(node["properties"]))
    return ""


def _at(schema: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """Return the schema node of a path, with `$ref` and `X | null` resolved; the nearest description is kept."""
    node = _resolve(schema, schema)
    for step in path:
        if isinstance(step, int):
            node = _resolve(node.get("items", {}), schema)
        else:
            named = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
            node = _resolve(node.get("properties", {}).get(step) or named, schema)
    return node


def _resolve(node: Any, schema: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {}
    options = [option for option in node.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        node = {**options[0], **{key: value for key, value in node.items() if key != "anyOf"}}
    if "$ref" in node:
        target = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        # The class's docstring is for readers of the code; the field's description is for its users.
        target = {key: value for key, value in target.items() if key != "description"}
        return target | {key: value for key, value in node.items() if key != "$ref"}
    return dict(node)
