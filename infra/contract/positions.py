"""YAML trees that know on which line everything stands: for messages, and for what `plain` leaves to them."""

from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from infra.contract.problems import ConfigError, KeyPath, Place


class _Constructor(RoundTripConstructor):
    """Keeps times as the text that stands in the file."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


@lru_cache(maxsize=64)
def parse_text(text: str, name: str) -> Any:
    """Return the YAML tree of a text, with line numbers; raise ConfigError when it is not YAML.

    An equal text is parsed once: what is returned is shared, and nobody changes it.
    """
    try:
        yaml = YAML(typ="rt")
        yaml.Constructor = _Constructor
        return yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not YAML: {error.problem}; correct the line") from None
    except YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {str(error).splitlines()[0]}; correct the file") from None


def place(tree: Any, path: KeyPath) -> Place:
    """Return the place of the deepest part of `path` that stands in the tree."""
    node, steps, line, mappings = tree, 0, None, True
    for step in path:
        if isinstance(node, CommentedMap) and step in node:
            line = node.lc.key(step)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
            line = node.lc.item(step)[0] + 1
        else:
            break
        node, steps = node[step], steps + 1
        mappings = mappings and isinstance(node, CommentedMap)
    return Place(steps, line, mappings)
