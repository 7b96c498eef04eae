"""Example rows of a release, as a training Job would have published them, in an environment's store."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROWS = 360


def examples(model: str, rows: int = ROWS) -> dict[str, Any]:
    """The document: grey rows, the digits in turn as labels, and no score above another."""
    return {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Examples",
        "model": model,
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [rows, 64], "data": [8.0] * (rows * 64)}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [rows, 10], "data": [0.0] * (rows * 10)}],
        "labels": [row % 10 for row in range(rows)],
    }


def name_examples(release: Path, model: str, rows: int = ROWS) -> tuple[str, bytes]:
    """Write them into the release's file; return their key and their content."""
    content = json.dumps(examples(model, rows)).encode()
    digest = sha256(content).hexdigest()
    key = f"{model}/sha256-{digest}.json"
    yaml = YAML()
    document = yaml.load(release)
    document["examples"] = {"digest": f"sha256:{digest}", "size": len(content), "key": key, "rows": rows}
    yaml.dump(document, release)
    return key, content
