"""A process of its own that imports a model, or copies a release's files as a promotion does, between real stores.

`python -m tests.support.moving <JSON>`; prints the release, and the memory of its own at the end, in bytes.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from rich.console import Console

from delivery.clients import transfer
from delivery.clients.store import Store
from delivery.operations.model_import import Given, bring
from delivery.project import Project

IMAGE = f"registry.test/serving@sha256:{'5' * 64}"


def own_memory(process: int | str = "self") -> int:
    """Return the bytes of a process that are no file's."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


def main(given: dict[str, Any]) -> None:
    client = boto3.client("s3", endpoint_url=given["url"], region_name="us-east-1", verify=given["ca"])

    @contextmanager
    def store(environment: str) -> Iterator[Store]:
        yield Store(client, environment, environment)

    engine = SimpleNamespace(outputs=lambda _: {"images": {"serving": IMAGE}})
    session: Any = SimpleNamespace(project=Project(Path(given["root"])), engine=engine, store=store)
    model, console = given["model"], Console(stderr=True)
    if given["file"]:
        identity = bring(session, model, Given(Path(given["file"]), tuple(map(Path, given["beside"]))), console)
    else:
        identity = given["release"]
        source, target = (Store(client, given[side], given[side]) for side in ("from", "to"))
        for item in session.project.releases.load(model, identity).objects.values():
            transfer.copy(source, target, item)
    print(json.dumps({"release": identity, "own": own_memory()}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
