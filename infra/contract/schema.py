"""Writes the JSON Schemas of environments and releases: `python -m infra.contract.schema`."""

import json
from pathlib import Path
from typing import Any

from infra.contract.environment import Environment
from infra.contract.release import Release

FOLDER = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def environment_schema() -> dict[str, Any]:
    """The schema of a whole stack file, `stacks/Pulumi.<env>.yaml`."""
    schema = Environment.model_json_schema()
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
    """The schema of a release file."""
    return {"$schema": DIALECT, **Release.model_json_schema(), "title": "Stellwerk release v1"}


def documents() -> dict[Path, str]:
    """The schema files and their text."""
    schemas = {"environment-v1": environment_schema(), "release-v1": release_schema()}
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }


if __name__ == "__main__":
    for file, text in documents().items():
        file.write_text(text, encoding="utf-8")
