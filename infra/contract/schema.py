"""The JSON Schemas of the documents."""

import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from infra.contract.candidate import Candidate
from infra.contract.cluster import EksCluster
from infra.contract.differences import Differences
from infra.contract.environment import Environment
from infra.contract.evidence import Evidence
from infra.contract.examples import Examples
from infra.contract.feedback import Feedback
from infra.contract.model import Model
from infra.contract.release import Release, ReleaseV1
from infra.contract.testset import TestSet

FOLDER = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_KINDS: tuple[type[BaseModel], ...] = (
    Model,
    Candidate,
    Examples,
    ReleaseV1,
    Release,
    Evidence,
    TestSet,
    Differences,
    Feedback,
)


def environment_schema(document: type[Environment]) -> dict[str, Any]:
    """Return the schema of a stack file, and of what environments share, with the sections of `document`.

    Nothing is required: each of the two files has a part of the values. What they are merged to is for the loader.
    """
    credentials = {"type": "object", "description": "encrypted, written by `stellwerk init`"}
    schema = document.model_json_schema()
    _let_absent(schema, schema)
    return _stack_file(schema, "Stellwerk environment v1", {"stellwerk:credentials": credentials})


def cluster_schema() -> dict[str, Any]:
    """Return the schema of the stack file of a cluster: one file says all, so what is needed is required there."""
    schema = EksCluster.model_json_schema()
    required = [f"stellwerk:{key}" for key in schema["required"]]
    return _stack_file(schema, "Stellwerk cluster v1", {}, required)


def _stack_file(
    schema: dict[str, Any], title: str, more: dict[str, Any], required: list[str] | None = None
) -> dict[str, Any]:
    keys = {f"stellwerk:{key}": value for key, value in schema["properties"].items()} | more
    config: dict[str, Any] = {
        "type": "object",
        "properties": keys,
        # Other namespaces are Pulumi's own.
        "patternProperties": {"^(?!stellwerk:)": {}},
        "additionalProperties": False,
    }
    if required:
        config["required"] = required
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": {"config": config},
        "required": ["config"],
        "$defs": schema["$defs"],
    }


def _let_absent(node: Any, schema: dict[str, Any]) -> None:
    """Require no key of a mapping; those in lists stay as they are: a list comes from one file as a whole."""
    node.pop("required", None)
    if "$ref" in node:
        target = schema["$defs"][node["$ref"].rpartition("/")[2]]
        _let_absent(target, schema)
    inside = [*node.get("properties", {}).values(), *node.get("patternProperties", {}).values(), *node.get("anyOf", [])]
    if isinstance(node.get("additionalProperties"), dict):
        inside.append(node["additionalProperties"])
    for each in inside:
        _let_absent(each, schema)


def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a document that is a file, or an object, of its own."""
    title = f"Stellwerk {_file_name(kind).replace('-', ' ')}"
    return {"$schema": DIALECT, **kind.model_json_schema(), "title": title}


def _file_name(kind: type[BaseModel]) -> str:
    """Return the name of a document with the version that its apiVersion states: `release-v1`."""
    (version,) = get_args(kind.model_fields["api_version"].annotation)
    number = version.rpartition("/")[2]
    return f"{kind.__name__.removesuffix(number.upper()).lower()}-{number}"


def documents(document: type[Environment]) -> dict[Path, str]:
    """Return the schema files and their text; `document` is the environment's with the sections of all services."""
    schemas = {"environment-v1": environment_schema(document), "cluster-v1": cluster_schema()}
    schemas |= {_file_name(kind): schema_of(kind) for kind in _KINDS}
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }
