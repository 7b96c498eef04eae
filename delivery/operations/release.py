"""`stellwerk release`: turns a candidate into an immutable release file."""

import io
import json
import os
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from delivery.clients import engine, store
from delivery.errors import DeliveryError
from delivery.operations.train import ENVIRONMENT
from infra.contract.problems import show
from infra.contract.release import Release, Releases
from infra.values import ROOT

RELEASES = Releases(ROOT / "stacks" / "releases")


def release(model: str, job: str) -> str:
    """Writes the release of a Job's candidate, or finds the one with its artefact and serving image; returns its id.

    Raises DeliveryError when the candidate is absent, or is not what the command itself finds out about Job, artefact,
    data and gates.
    """
    # ONNX Runtime takes half a second to import, and nothing else of the command needs it.
    from delivery.operations import candidate as candidates

    with store.connect(ENVIRONMENT) as source:
        candidate = candidates.read(source, model, job)
        digest, image = candidate.artefact.digest, engine.outputs(ENVIRONMENT)["images"]["serving"]
        known = RELEASES.ids(model)
        for identity in known:
            there = RELEASES.load(model, identity)
            # It was verified when it was made; its Job may be gone since.
            if (there.artefact.digest, there.serving.image) == (digest, image):
                return identity
        candidates.verify(candidate, source)
    number = int(known[-1][1:].split("-")[0]) + 1 if known else 1
    identity = f"v{number}-{digest.removeprefix('sha256:')[:8]}"
    # What was verified is what is written, not another reading of the same text.
    _write(model, identity, _document(candidate.model_dump(mode="json", by_alias=True), identity, image))
    return identity


def _document(candidate: dict[str, Any], identity: str, image: str) -> dict[str, Any]:
    parts = ("training", "data", "run", "interface", "evaluation", "reference", "requirements")
    return {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Release",
        "metadata": {"model": candidate["model"], "release": identity, "created": candidate["created"]},
        "artefact": candidate["artefact"],
        "serving": {"image": image},
        **{part: candidate[part] for part in parts},
    }


def _write(model: str, identity: str, document: dict[str, Any]) -> None:
    """Validates before anything is written, and never overwrites."""
    try:
        Release.model_validate_json(json.dumps(document))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors())
        raise DeliveryError(f"the candidate does not make a release; wrong: {show(keys)}") from None
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    text.write("# Written by `stellwerk release`; immutable.\n")
    yaml.dump(_rows(document), text)
    target = RELEASES.file(model, identity)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text(text.getvalue(), encoding="utf-8")
    try:
        os.link(partial, target)
    except FileExistsError:
        raise DeliveryError(f"{RELEASES.name}/{model}/{identity}.yaml: is there already, and releases stay") from None
    finally:
        partial.unlink()


def _rows(value: Any) -> Any:
    """The document with lists of numbers as rows instead of one number a line."""
    if isinstance(value, dict):
        return {key: _rows(item) for key, item in value.items()}
    if isinstance(value, list):
        rows = CommentedSeq(_rows(item) for item in value)
        if not any(isinstance(item, dict | list) for item in value):
            rows.fa.set_flow_style()
        return rows
    return value
