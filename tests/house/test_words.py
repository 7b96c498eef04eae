"""Ordinary English, as the field writes it: words that a reader stumbles over stand nowhere."""

import ast
import re
from collections.abc import Iterator

from tests.house.tree import hold, modules, written

_WORDS = {
    r"\bbe had\b": "not available",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bsurroundings?\b": "environment, variables",
    r"\btold\b": "said, reported, named",
    r"\bwhat it says\b": "the message",
}
_NAMES = {"there", "found", "told", "surroundings"}


def test_no_word_is_used_that_the_field_does_not_use() -> None:
    offenders: dict[str, str] = {}
    for name, text in written().items():
        # The rules themselves have to name what they forbid.
        if name.startswith("tests/house/"):
            continue
        for pattern, instead in _WORDS.items():
            for match in re.finditer(pattern, text, re.IGNORECASE):
                line = text.count("\n", 0, match.start()) + 1
                offenders.setdefault(name, f"line {line} has `{match[0]}`; better: {instead}")
    hold("words", offenders)


def test_a_value_is_called_what_it_is() -> None:
    offenders = {
        name: f"the name `{word}` says nothing of the value"
        for name, nodes in modules().items()
        for word in sorted(_NAMES.intersection(_names(nodes)))
    }
    hold("names", offenders)


def _names(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name.lower()
