"""States of stacks as files: read, and written where an engine takes them for its own."""

import gc
import gzip
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from delivery.errors import DeliveryError, system_errors

# The layout of a backend in files: stacks by project.
_META = "version: 1\n"


def stacks(folder: Path, project: str) -> Path:
    """Return where a file backend in `folder` keeps the states of a project."""
    return folder / ".pulumi" / "stacks" / project


def read(file: Path) -> dict[str, Any]:
    """Return a state in the form in which the engine exports it; its secret values are encrypted as they were.

    Raise DeliveryError when it is not readable.
    """
    with system_errors("reading a backup", "choose another one"):
        content = file.read_bytes()
    try:
        with _nothing_collected():
            document = _parsed(gzip.decompress(content) if file.suffix == ".gz" else content)
        if "checkpoint" not in document:
            return {"version": document["version"], "deployment": document["deployment"] or {}}
        features = {"features": document["features"]} if "features" in document else {}
        return {"version": document["version"], **features, "deployment": document["checkpoint"].get("latest") or {}}
    except (ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
        raise DeliveryError(f"{file} is no backup of a state: {error}; choose another one") from None


def _parsed(content: bytes) -> Any:
    """Return what JSON says, in half the time of the standard library, which takes what the other does not."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Keep the interpreter from looking for garbage in what is read: more than half the time of a large state.

    Neither while it is read nor later: what there is then is not looked at again. A state has no cycles, and goes as
    soon as nobody has it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def content(state: Mapping[str, Any], project: str, stack: str) -> bytes:
    """Return what a file backend writes for an exported state."""
    checkpoint = {"stack": f"organization/{project}/{stack}", "latest": state["deployment"]}
    features = {"features": state["features"]} if "features" in state else {}
    document = {"version": state["version"], **features, "checkpoint": checkpoint}
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return json.dumps(document).encode()


def make_backend(folder: Path, project: str, stack: str, state: Mapping[str, Any]) -> None:
    """Make a file backend whose only stack has this state."""
    place = stacks(folder, project)
    with system_errors("writing a copy of the state", "make the folder writable"):
        place.mkdir(parents=True)
        (folder / ".pulumi" / "meta.yaml").write_text(_META, encoding="utf-8")
        (place / f"{stack}.json").write_bytes(content(state, project, stack))


def replace(file: Path, state: Mapping[str, Any], project: str, stack: str) -> None:
    """Replace the file of a state in one step; what was there is kept as the engine keeps it."""
    # Where `stacks` puts it, beside the folders of what is kept.
    kept = file.parents[2] / "backups" / project / stack
    partial = file.with_name(f".{file.name}.partial")
    with system_errors("writing the state", "make the backend's folder writable"):
        kept.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as opened:
            opened.write(content(state, project, stack))
            opened.flush()
            os.fsync(opened.fileno())
        os.link(file, kept / f"{stack}.{time.time_ns()}.json")
        os.replace(partial, file)


def outputs(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of the stack in a state; secret ones are encrypted."""
    resources = (state.get("deployment") or {}).get("resources") or []
    return next((item.get("outputs") or {} for item in resources if item["type"] == "pulumi:pulumi:Stack"), {})
