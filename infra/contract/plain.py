"""Reading of plain YAML without positions, many times as fast as with them: libyaml's events, and what they stand for.

What is read is what `infra.contract.positions` reads. Wherever the two could differ (tags, anchors, keys that are given
twice, texts that an older YAML takes for numbers, errors of any kind) this one gives up, and the other one decides.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", None)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)")
# What looks like this is a number, a time or a special value in some version of YAML.
_DOUBTFUL = re.compile(r"[-+.0-9][-+.:_0-9eEtTzZ ]*|[-+]?0[bBoOxX][0-9a-fA-F_]*|[-+]?\.(inf|nan)|[=<]+", re.IGNORECASE)
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){2,}(:[0-9]+)?")
# Directives, line breaks that one version of YAML knows and the other does not, and characters that neither wants.
_STRANGE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)|^(%|[.]{3})|\t", re.MULTILINE
)


class Unsure(Exception):
    """This reader does not say what the text stands for."""


def read_plain(text: str) -> Any:
    """Return the tree of a YAML text as dict, list and scalars; raise Unsure where positions are needed, or more care.

    A key is a text, as `str` gives it.
    """
    if _Loader is None or _STRANGE.search(text):
        raise Unsure
    try:
        events = yaml.parse(text, Loader=_Loader)
        next(events)
        if not isinstance(next(events), yaml.DocumentStartEvent):
            raise Unsure
        root = next(events)
        if not isinstance(root, yaml.MappingStartEvent):
            raise Unsure
        tree = _node(root, events)
        rest = [type(event) for event in events]
    except (yaml.YAMLError, StopIteration, ValueError, RecursionError):
        raise Unsure from None
    if rest != [yaml.DocumentEndEvent, yaml.StreamEndEvent]:
        raise Unsure
    return tree


def _node(event: Any, events: Iterator[Any]) -> Any:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None or event.tag is not None:
        raise Unsure
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            if isinstance(item, yaml.MappingStartEvent) and event.flow_style and _unbracketed(item):
                raise Unsure
            items.append(_node(item, events))
        return items
    return _mapping(events)


def _unbracketed(event: yaml.MappingStartEvent) -> bool:
    """Return whether a mapping in a list has no brackets, `[a: b]`: the two readers have other rules for that."""
    begin, end = event.start_mark, event.end_mark
    return begin is None or end is None or begin.index == end.index


def _mapping(events: Iterator[Any]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise Unsure
        key = _node(event, events)
        if not isinstance(key, str) or key in entries or key == "<<":
            raise Unsure
        entries[key] = _node(next(events), events)
    return entries


def _scalar(event: yaml.ScalarEvent) -> Any:
    value = str(event.value)
    if event.style:
        return value
    if value in _WORDS:
        return _WORDS[value]
    if _INTEGER.fullmatch(value):
        return int(value)
    if _FLOAT.fullmatch(value):
        return float(value)
    if _DOUBTFUL.fullmatch(value) and not _VERSION.fullmatch(value):
        raise Unsure
    return value
