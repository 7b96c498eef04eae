"""What is too long to be read at once is split."""

import ast

from tests.house.tree import hold, modules, written

_MODULE, _FUNCTION, _CLASS = 300, 50, 200
_SOURCES = (".py", ".go", ".sh")


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {name: len(text.splitlines()) for name, text in written().items() if name.endswith(_SOURCES)}
    hold("long modules", {name: f"{size} lines" for name, size in lengths.items() if size > _MODULE})


def test_no_function_is_longer_than_50_lines() -> None:
    hold("long functions", _longer(_FUNCTION, ast.FunctionDef, ast.AsyncFunctionDef))


def test_no_class_is_longer_than_200_lines() -> None:
    hold("long classes", _longer(_CLASS, ast.ClassDef))


def _longer(most: int, *kinds: type[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]) -> dict[str, str]:
    return {
        f"{name}::{node.name}": f"{size} lines; {most} are allowed"
        for name, nodes in modules().items()
        for node in nodes
        if isinstance(node, kinds) and (size := (node.end_lineno or 0) - node.lineno + 1) > most
    }
