"""A YAML text as nodes that know where they stand: an edit leaves every other character as it is."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from delivery.errors import DeliveryError
from infra.contract.plain import Unsure, read_plain

SCALAR, MAPPING, SEQUENCE, ALIAS = "scalar", "mapping", "sequence", "alias"


class _Constructor(SafeConstructor):
    """A constructor that keeps times as the text that stands in the file."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


@dataclass
class Node:
    """One node: `value` is a scalar's text or an alias's name; positions are characters of the text."""

    kind: str
    value: str
    start: int
    end: int
    line: int
    column: int
    anchor: str | None = None
    flow: bool = False
    style: str | None = None
    pairs: list[tuple["Node", "Node"]] = field(default_factory=list)
    items: list["Node"] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing is written: null by being absent."""
        return self.kind == SCALAR and not self.value and self.style is None

    def find(self, key: str) -> tuple["Node", "Node"] | None:
        """Return a mapping's own key and value; what it merges in does not count."""
        return next((pair for pair in self.pairs if (pair[0].kind, pair[0].value) == (SCALAR, key)), None)

    @property
    def last(self) -> int:
        """Where the last thing that is written in it ends."""
        inside = [node.last for pair in self.pairs for node in pair] + [item.last for item in self.items]
        # Block collections end where the next token begins, behind comments that are not theirs.
        if inside and not self.flow:
            return max(inside)
        return 0 if self.empty else self.end


class Document:
    """A text with one YAML document whose root is a mapping; edits are collected and made at once."""

    def __init__(self, text: str, name: str) -> None:
        """Parse the text; raise DeliveryError with file and line when it is not one mapping in YAML."""
        self.text, self.name = text, name
        self.tree = load(text, name)
        self.root = _root(text, name)
        self._edits: list[tuple[int, int, str]] = []

    @property
    def newline(self) -> str:
        """How the file ends its lines."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def place(self, node: Node) -> str:
        """Return file and line, as messages name them."""
        return f"{self.name}:{node.line}"

    def replace(self, key: Node, value: Node, text: str) -> None:
        """Write `text` where the value of `key` stands."""
        if value.empty:
            colon = self._colon(key)
            self._edits.append((colon, colon, f" {text}"))
        else:
            self._edits.append((value.start, self._written(value.end), text))

    def insert(self, mapping: Node, after: tuple[Node, Node], key: str, text: str) -> None:
        """Write `key: text` behind a pair of the mapping."""
        end = self._end(after)
        if mapping.flow:
            self._edits.append((end, end, f", {key}: {text}"))
            return
        end = self._line_end(end)
        newline = self._newline(end) or self.newline
        self._edits.append((end, end, f"{newline}{' ' * mapping.pairs[0][0].column}{key}: {text}"))

    def remove(self, mapping: Node, pair: tuple[Node, Node]) -> None:
        """Remove a pair with its lines, or with its comma."""
        start, end = pair[0].start, self._end(pair)
        index = mapping.pairs.index(pair)
        if not mapping.flow:
            end = self._line_end(end)
            end += len(self._newline(end))
            start = len(self.text[:start].rstrip(" "))
        elif index + 1 < len(mapping.pairs):
            end = mapping.pairs[index + 1][0].start
        elif index:
            start = self._end(mapping.pairs[index - 1])
        self._edits.append((start, end, ""))

    def clear(self, key: Node, mapping: Node) -> None:
        """Make the mapping of `key`, which has one pair, an empty one."""
        if not mapping.flow:
            colon = self._colon(key)
            self._edits.append((colon, colon, " {}"))
        self.remove(mapping, mapping.pairs[0])

    def edited(self) -> str:
        """Return the text with all edits."""
        text = self.text
        for start, end, new in sorted(self._edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _end(self, pair: tuple[Node, Node]) -> int:
        """Return the position behind the last character of a pair."""
        return self._colon(pair[0]) if pair[1].empty else self._written(max(pair[1].last, pair[0].end))

    def _colon(self, key: Node) -> int:
        """Return the position behind the colon of a key."""
        colon = self.text.find(":", key.end)
        if colon < 0 or self.text[key.end : colon].strip():
            raise DeliveryError(f"{self.place(key)}: {key.value} has no colon; write `{key.value}: null`")
        return colon + 1

    def _written(self, end: int) -> int:
        """Return the end without line breaks: a block scalar ends behind its last one, and behind empty lines."""
        return len(self.text[:end].rstrip("\r\n"))

    def _line_end(self, position: int) -> int:
        while position < len(self.text) and self.text[position] not in "\r\n":
            position += 1
        return position

    def _newline(self, position: int) -> str:
        return next((mark for mark in ("\r\n", "\n") if self.text.startswith(mark, position)), "")


@lru_cache(maxsize=32)
def load(text: str, name: str) -> Any:
    """Return the values of a text; raise DeliveryError with file and line when it is not YAML or has a key twice.

    An edit reads the same text several times: what is returned is shared, and nobody changes it.
    """
    # Many times as fast, which is felt where there are many models.
    with suppress(Unsure):
        return read_plain(text)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = str(error.problem).splitlines()[0]
        hint = "; write spaces, not tabs" if "\\t" in reason else ""
        raise DeliveryError(f"{name}:{line}: not YAML: {reason}{hint}; correct the line") from None
    except YAMLError as error:
        raise DeliveryError(f"{name}: not YAML: {str(error).splitlines()[0]}; correct the file") from None


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Return every value of a tree by its path; two trees are the same when these are."""
    if isinstance(tree, dict) and tree:
        return {step: text for key, value in tree.items() for step, text in leaves(value, (*path, str(key))).items()}
    if isinstance(tree, list) and tree:
        return {step: text for key, value in enumerate(tree) for step, text in leaves(value, (*path, str(key))).items()}
    return {path: repr(tree)}


@lru_cache(maxsize=32)
def _root(text: str, name: str) -> Node:
    """Return the mapping at the top of the only document of a text; it is shared, too."""
    events = YAML(typ="safe", pure=True).parse(text)
    nodes = [node for node in iter(lambda: _next(events), None) if node is not None]
    if len(nodes) != 1 or nodes[0].kind != MAPPING:
        raise DeliveryError(f"{name}: it must be one document with a mapping (key: value) at its top")
    return nodes[0]


def _next(events: Iterator[Any]) -> Node | None:
    """Return the next node with all that is in it; an end of a collection has no kind, that of the stream is None."""
    for event in events:
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            return Node("", "", event.start_mark.index, event.end_mark.index, 0, 0)
        if isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
            return _node(event, events)
    return None


def _node(event: Any, events: Iterator[Any]) -> Node:
    mark = event.start_mark
    node = Node("", "", mark.index, event.end_mark.index, mark.line + 1, mark.column, event.anchor)
    if isinstance(event, AliasEvent):
        node.kind, node.value, node.anchor = ALIAS, event.anchor, None
    elif isinstance(event, ScalarEvent):
        node.kind, node.value, node.style = SCALAR, event.value, event.style
    else:
        node.flow = bool(event.flow_style)
        node.kind = MAPPING if isinstance(event, MappingStartEvent) else SEQUENCE
        inside = []
        while (child := _next(events)) is not None and child.kind:
            inside.append(child)
        node.end = child.end if child is not None else node.end
        if node.kind == MAPPING:
            node.pairs = list(zip(inside[::2], inside[1::2], strict=True))
        else:
            node.items = inside
    return node
