"""The quick reader of YAML says the same as the one that knows positions, or leaves it to that one."""

import random
from pathlib import Path
from typing import Any

import pytest

from delivery.operations.new_model import TEMPLATES
from infra.contract.plain import Unsure, read_plain
from infra.contract.positions import parse_text
from infra.contract.problems import ConfigError
from infra.contract.reading import tree
from tests.support.documents import TEAM

DOCUMENTS = [
    *sorted(TEAM.glob("**/*.yaml")),
    *(file for file in sorted(TEMPLATES.glob("**/*.yaml")) if "ci" not in file.parts),
    *sorted(Path(__file__).parent.glob("**/*.yaml")),
]
PIECES = [
    *"-:#'\"{}[],&*!|>%@`?~ \n\t0123456789.eExo_+é",
    "yes", "on", "true", "0o17", "017", "1_000", "1e3", ".5", "1.", "0x1F", "2026-01-02", "12:30:45", "<<", "null",
    "- ", "? ", ": ", "\n  ", "|\n", ">\n", "\\n", "\r\n", "---", "...", ".inf", ".nan", "=", "#x", " #c\n", "a: b",
    "{a: 1}", "[1, 2]", "[a: b]", "''", '""', "*x", "&x ", "!t ", "\u2028", "\u0085", "1.2.3", "1.2.3.4:56",
]  # fmt: skip


def read_with_positions(text: str) -> Any:
    """The tree of the other reader, in the same types."""
    return _plain(parse_text(text, "x"))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_the_projects_own_documents_are_read_quickly(file: Path) -> None:
    text = file.read_bytes().decode()
    assert repr(read_plain(text)) == repr(read_with_positions(text))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_quickly_is_what_stands_in_the_text(seed: int) -> None:
    """Pieces of documents with something else in the middle of them; an order of keys counts, and so does a type."""
    chance = random.Random(seed)  # noqa: S311 (the same mistakes in every run)
    texts = [file.read_bytes().decode() for file in DOCUMENTS]
    read = 0
    for _ in range(50):
        lines = chance.choice(texts).splitlines(keepends=True)
        start = chance.randrange(len(lines))
        text = "".join(lines[start : start + chance.randrange(1, 12)])
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(PIECES) + text[at + chance.choice([0, 0, 1, 2]) :]
        try:
            quickly = read_plain(text)
        except Unsure:
            continue
        read += 1
        assert repr(quickly) == repr(read_with_positions(text)), text
    assert read


@pytest.mark.parametrize(
    "text",
    [
        "a: 017", "a: 1_000", "a: 0x1F", "a: .5", "a: 2026-01-02", "a: 12:30:45", "a: .inf", "a: *x", "a: &x b",
        "a: !t b", "<<: {a: 1}", "a: 1\na: 2", "1: a", "? [a]\n: b", "a: [b: c]", "%YAML 1.1\n---\na: on", "- a", "a",
        "", "a: 1\n---\nb: 2", "a: b\u2028c", "a: [", "a: '\t'",
    ],
)  # fmt: skip
def test_what_is_in_doubt_is_left_to_the_other_reader(text: str) -> None:
    with pytest.raises(Unsure):
        read_plain(text)


def test_an_error_names_its_line() -> None:
    with pytest.raises(ConfigError, match=r"^file\.yaml:2: not YAML: "):
        tree("a: 1\nb: ]\n", "file.yaml")
    with pytest.raises(ConfigError, match=r"^file\.yaml:2: not YAML: "):
        tree("a: 1\na: 2\n", "file.yaml")
