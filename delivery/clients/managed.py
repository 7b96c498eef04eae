"""What others than the engine have added to an object, by its managed fields: there it stands who has set what."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.cluster.ownership import ENGINES

# What controllers write, into whosever object: labels and annotations too, and certificates into webhooks.
_THEIRS = ("f:metadata", "f:status", "f:caBundle", "f:finalizers")
# Kubernetes' own parts, and whatever calls itself so: they do what they are there for.
_CONTROLLER = re.compile(r"^kube(-|let)|controller|manager|operator|injector|autoscaler")
_PLAIN = re.compile(r"[\w-]+")


@dataclass(frozen=True, order=True)
class Extension:
    """A field that holds more than is declared: `path` leads to it, in the words of managed fields.

    `declared` says whether the field itself is declared, and has more in it than that, or is not declared at all.
    """

    path: tuple[str, ...]
    declared: bool

    def __str__(self) -> str:
        return "".join(map(_shown, self.path)).removeprefix(".")

    def pointer(self, item: Mapping[str, Any]) -> str:
        """Return the field's place in the object as JSON Patch names it (RFC 6901)."""
        value: Any = item
        words = []
        for key in self.path:
            below = _at(value, key)
            name = key.removeprefix("f:") if key.startswith("f:") else str(value.index(below))
            words.append(name.replace("~", "~0").replace("/", "~1"))
            value = below
        return "".join(f"/{word}" for word in words)


def extensions(item: Mapping[str, Any], declared: Mapping[str, Any]) -> list[Extension]:
    """Return what a person or a program has added to an object within what the stack declares of it.

    What the engine and controllers write does not count, nor do defaults: nobody manages them.
    """
    if item["kind"] == "Secret":
        # The API server keeps the one as the other.
        data = {**(declared.get("stringData") or {}), **(declared.get("data") or {})}
        declared = {**declared, "data": data}
    entries = [entry for entry in item["metadata"].get("managedFields") or () if not entry.get("subresource")]
    engine = [entry for entry in entries if entry["manager"].startswith(ENGINES)]
    ours = [entry["fieldsV1"] for entry in engine]
    others = [entry for entry in entries if entry not in engine and not _CONTROLLER.search(entry["manager"])]
    return sorted({field for entry in others for field in _added(entry["fieldsV1"], ours, declared, item)})


def _added(
    theirs: Mapping[str, Any], ours: Sequence[Mapping[str, Any]], declared: Any, now: Any, path: tuple[str, ...] = ()
) -> Iterator[Extension]:
    for key, below in theirs.items():
        if key == "." or key in _THEIRS:
            continue
        place, known, value = (*path, key), _at(declared, key), _at(now, key)
        own = [fields[key] for fields in ours if key in fields]
        if known is None and not own:
            yield Extension(place, declared=False)
        elif below.keys() - {"."}:
            yield from _added(below, own, known, value, place)
        elif not own and _has_more(value, known):
            yield Extension(place, declared=True)


def _at(value: Any, key: str) -> Any:
    """Return what stands at a key of managed fields, None when nothing does: a field, or an element of a list."""
    kind, _, name = key.partition(":")
    if kind == "f":
        return value.get(name) if isinstance(value, Mapping) else None
    wanted = json.loads(name)
    if not isinstance(value, list):
        return None
    if kind == "v":
        return wanted if wanted in value else None
    # A part of the key that is not declared has its default.
    return next((one for one in value if all(one.get(part, known) == known for part, known in wanted.items())), None)


def _has_more(value: Any, known: Any) -> bool:
    """Return whether a value has keys or elements that another does not have; what is different is another matter."""
    if isinstance(value, Mapping) and isinstance(known, Mapping):
        return any(key not in known or _has_more(one, known[key]) for key, one in value.items())
    if isinstance(value, list) and isinstance(known, list):
        return len(value) > len(known) or any(map(_has_more, value, known))
    return False


def _shown(key: str) -> str:
    kind, _, name = key.partition(":")
    if kind == "f":
        return f".{name}" if _PLAIN.fullmatch(name) else f'["{name}"]'
    wanted = json.loads(name)
    return f"[{', '.join(map(str, wanted.values())) if isinstance(wanted, dict) else wanted}]"
