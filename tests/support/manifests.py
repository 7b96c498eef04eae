"""What a program registers, as the manifests that the API server gets, and the schemas of a real one to check them."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from delivery.clients.control_plane import ControlPlane

# How the engine marks a secret on the wire.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_PARTS = "#/components/schemas/"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
# kubeconform calls the core group by its version.
SCHEMA_LOCATION = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"


def manifests(inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the Kubernetes objects among registered inputs (by `type::name`), named as their resources where unnamed."""
    for key, each in inputs.items():
        kind, _, name = key.partition("::")
        # A patch is a part of an object that somebody else declares.
        if not kind.startswith("kubernetes:") or ":yaml/" in kind or kind.endswith("Patch"):
            continue
        plain = _plain(each)
        plain["metadata"] = {"name": name, **plain.get("metadata", {})}
        yield plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if _SIGNATURE in value:
            return _plain(value["value"])
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def write(objects: Iterator[dict[str, Any]], folder: Path) -> None:
    """Write each object into a file of its own; no two are called the same."""
    folder.mkdir(parents=True)
    for each in objects:
        metadata = each["metadata"]
        title = "-".join(filter(None, (each["kind"], metadata.get("namespace"), metadata["name"])))
        file = folder / f"{title.replace(':', '-')}.yaml"
        assert not file.exists(), f"{file.name} twice"
        file.write_text(yaml.safe_dump(each, sort_keys=False))


def write_schemas(plane: ControlPlane, versions: set[str], folder: Path) -> None:
    """Write the API server's own schemas of all kinds of these API versions; unknown keys are refused."""
    folder.mkdir(exist_ok=True)
    for version in versions:
        path = f"/openapi/v3/{'apis' if '/' in version else 'api'}/{version}"
        schemas = plane.read(path)["components"]["schemas"]
        for name, each in schemas.items():
            for kind in each.get("x-kubernetes-group-version-kind", []):
                strict = {part: _strict(schemas[part]) for part in _parts(schemas, name)}
                whole = {"$schema": _DRAFT, "$ref": f"{_PARTS}{name}", "components": {"schemas": strict}}
                _write_schema(folder, kind["group"], kind["version"], kind["kind"], whole)


def _parts(schemas: Mapping[str, Any], name: str) -> set[str]:
    """Return the names of a schema and of all that it is made of."""
    known, new = set[str](), {name}
    while new:
        known |= new
        texts = (json.dumps(schemas[each]) for each in new)
        new = {part for text in texts for part in re.findall(f'"{_PARTS}([^"]+)"', text)} - known
    return known


def write_custom_schemas(definitions: Path, folder: Path) -> None:
    """Write the schemas of the custom resource definitions in a folder of YAML files."""
    folder.mkdir(exist_ok=True)
    for file in definitions.rglob("*.yaml"):
        for each in yaml.load_all(file.read_text(), yaml.CSafeLoader):
            # Beside the definitions lie patches of them, which have no versions.
            if not each or each["kind"] != "CustomResourceDefinition" or "versions" not in each["spec"]:
                continue
            for version in each["spec"]["versions"]:
                kind = each["spec"]["names"]["kind"]
                schema = version["schema"]["openAPIV3Schema"]
                schema["properties"]["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                _write_schema(folder, each["spec"]["group"], version["name"], kind, _strict(schema))


def _write_schema(folder: Path, group: str, version: str, kind: str, schema: Mapping[str, Any]) -> None:
    (folder / f"{group or version}_{version}_{kind.lower()}.json").write_text(json.dumps(schema))


def _strict(node: Any) -> Any:
    """Return an OpenAPI schema as JSON Schema that refuses a key it does not know."""
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    strict = {key: _strict(each) for key, each in node.items()}
    if isinstance(node.get("properties"), Mapping) and "type" in node and "additionalProperties" not in node:
        strict["additionalProperties"] = bool(node.get("x-kubernetes-preserve-unknown-fields"))
    if node.get("x-kubernetes-int-or-string"):
        strict["type"] = ["integer", "string"]
    return strict
