"""Writes the schema of the package and its reference: `python -m components.reference`, from the docstrings."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pulumi.provider.experimental.analyzer import Analyzer
from pulumi.provider.experimental.schema import generate_schema

from components.package import COMPONENTS, NAME

_HERE = Path(__file__).parent
SCHEMA = _HERE / "schema.json"
PAGE = _HERE.parent / "docs" / "components.md"
# What stands before it is written by people.
_MARKER = "<!-- From here on written by `python -m components.reference`, from the docstrings. -->\n"


def schema() -> dict[str, Any]:
    """Return types and resources of the package as the engine shows them."""
    known = Analyzer(NAME).analyze(list(COMPONENTS))
    made = generate_schema(NAME, "0.0.0", None, known["component_definitions"], known["type_definitions"], [])
    document = made.to_json()
    return {"name": NAME, "types": _lean(document["types"]), "resources": _lean(document["resources"])}


def _lean(node: Any) -> Any:
    """Return a part of a schema without what is empty, and without the repeated description of a list's items."""
    if isinstance(node, list):
        return [_lean(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    lean = {key: _lean(value) for key, value in node.items()}
    for inside in (lean.get("items"), lean.get("additionalProperties")):
        if isinstance(inside, dict):
            inside.pop("description", None)
    return {key: value for key, value in lean.items() if value not in ({}, [])}


def texts() -> dict[Path, str]:
    """Return the files and what belongs in them; of the page, what people wrote stays."""
    document = schema()
    head = PAGE.read_text(encoding="utf-8").partition(_MARKER)[0]
    return {
        SCHEMA: json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n",
        PAGE: "".join([head, _MARKER, *_sections(document)]),
    }


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    for token, resource in sorted(document["resources"].items()):
        yield f"\n## {_title(token)}\n\n{_line(resource['description'])}\n"
        yield from _table("input", resource["inputProperties"], resource.get("requiredInputs", []))
        yield from _table("output", resource.get("properties", {}), resource.get("required", []))
    yield "\n## Types\n"
    for token, kind in sorted(document["types"].items()):
        yield f"\n### {_title(token)}\n\n{_line(kind['description'])}\n"
        if "enum" in kind:
            yield "\n| value | description |\n|---|---|\n"
            yield from (f"| `{each['value']}` | {_line(each.get('description', ''))} |\n" for each in kind["enum"])
        yield from _table("field", kind.get("properties", {}), kind.get("required", []))


def _table(heading: str, properties: Mapping[str, Any], required: list[str]) -> Iterator[str]:
    """Give the rows of a table; those that may be absent come last."""
    if not properties:
        return
    yield f"\n| {heading} | type | description |\n|---|---|---|\n"
    for name in sorted(properties, key=lambda each: each not in required):
        value = properties[name]
        kind = _kind(value, heading != "output") + ("" if name in required else ", optional")
        yield f"| `{name}` | {kind} | {_line(value['description'])} |\n"


def _kind(value: Mapping[str, Any], given: bool) -> str:
    """Return a type in words; what is `given` may be another resource's output, unless it must be known beforehand."""
    if "$ref" in value:
        title = _title(value["$ref"])
        return f"[{title}](#{title.lower()})"
    match value["type"]:
        case "array":
            return f"list of {_kind(value['items'], given)}"
        case "object" if "additionalProperties" in value:
            return f"map of {_kind(value['additionalProperties'], given)}"
        case name:
            return f"{name} or output" if given and not value.get("plain") else str(name)


def _title(token: str) -> str:
    return token.rpartition(":")[2]


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for file, text in texts().items():
        file.write_text(text, encoding="utf-8")
