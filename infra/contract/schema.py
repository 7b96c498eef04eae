"""The JSON Schemas of the documents."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.contract.environment import Environment
from infra.contract.release import Release

FOLDER = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def environment_schema(document: type[Environment]) -> dict[str, Any]:
    """Return the schema of a whole stack file, `stacks/Pulumi.<env>.yaml`, with the sections of `document`."""
    schema = document.model_json_schema()
    keys = {f"stellwerk:{key}": value for key, value in schema["properties"].items()}
    keys["stellwerk:credentials"] = {"type": "object", "description": "encrypted, written by `stellwerk init`"}
    config = {
        "type": "object",
        "properties": keys,
        "required": [f"stellwerk:{key}" for key in schema["required"]],
        # Other namespaces are Pulumi's own.
        "patternProperties": {"^(?!stellwerk:)": {}},
        "additionalProperties": False,
    }
    return {
        "$schema": DIALECT,
        "title": "Stellwerk environment v1",
        "type": "object",
        "properties": {"config": config},
        "required": ["config"],
        "$defs": schema["$defs"],
    }


def release_schema() -> dict[str, Any]:
    """Return the schema of a release file."""
    return {"$schema": DIALECT, **Release.model_json_schema(), "title": "Stellwerk release v1"}


def schemas(document: type[Environment]) -> Mapping[str, dict[str, Any]]:
    """Return each schema by the name of its file."""
    return {"environment-v1": environment_schema(document), "release-v1": release_schema()}


def documents(document: type[Environment]) -> dict[Path, str]:
    """Return the schema files and their text."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas(document).items()
    }
