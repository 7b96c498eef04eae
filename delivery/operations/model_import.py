"""`stellwerk model import`: a model that was made elsewhere becomes a release, its files in the first store."""

import getpass
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from delivery.clients import transfer
from delivery.errors import DeliveryError, system_errors
from delivery.operations import evaluation
from delivery.operations.evaluation import Evaluated
from delivery.operations.release import write
from delivery.operations.serving_image import serving_image
from delivery.operations.writing import identity_after
from delivery.session import Session
from infra.composition.hooks import has_hooks
from infra.contract.artefact import MODEL_FILE, PICKLE_REASON, Artefact, ExampleRows, file_key, is_pickle, object_key
from infra.contract.model import HOOKS
from infra.contract.release import Release, Task
from infra.services.serving import takes_unevaluated
from serving.errors import StartError
from serving.model import Model, load


@dataclass(frozen=True)
class Given:
    """What is imported: the model's file, those beside it, rows to evaluate it with, and where it comes from."""

    file: Path
    beside: tuple[Path, ...] = ()
    examples: Path | None = None
    task: Task | None = None
    source: str | None = None
    note: str | None = None


def bring(session: Session, model: str, given: Given, console: Console) -> str:
    """Check that the model can be served, evaluate and publish it, and return its release's id.

    The release is written last: before, nothing refers to what is in the store. Raise DeliveryError with nothing
    released.
    """
    _refuse_pickles(given)
    first = session.project.first
    _refuse_hooks(session, model)
    image = serving_image(session, first)
    artefact = _artefact(model, given)
    with _staged(given) as folder:
        loaded = _load(folder, artefact)
        rated = evaluation.evaluate(session.project.models, model, loaded, given.examples, given.task)
    releases = session.project.releases
    examples = rated and _examples(model, rated.content, rated.rows)
    for identity in releases.ids(model):
        known = releases.load(model, identity)
        if (known.artefact, known.serving.image, known.examples) == (artefact, image, examples):
            return identity
    identity = identity_after(releases.ids(model), artefact.digest)
    document = _release(model, identity, artefact, image, loaded, rated, given)
    _publish(session, first, given, document, rated, console)
    write(releases, model, identity, document)
    if rated is None:
        _say_unevaluated(session, model, identity, console)
    return identity


def _refuse_hooks(session: Session, model: str) -> None:
    """Raise DeliveryError for a model with code of its own: what a file answers through it, only a Job measures."""
    models = session.project.models
    if has_hooks(models, model):
        raise DeliveryError(
            f"{models.name}/{model}/{HOOKS}: a file is imported as it answers by itself; import it under another name, "
            "or let `export` in train.py write the file, and train"
        )


def _refuse_pickles(given: Given) -> None:
    for path in (given.file, *given.beside):
        if is_pickle(path.name):
            raise DeliveryError(f"{path}: pickles are not imported: {PICKLE_REASON}")
    if given.file.suffix != ".onnx":
        raise DeliveryError(f"{given.file}: not an ONNX file (.onnx); export the model to ONNX")


def _artefact(model: str, given: Given) -> Artefact:
    """Return the artefact of the files, each hashed piece by piece."""
    main = _hashed(given.file)
    beside = [_hashed(path) | {"name": path.name} for path in given.beside]
    document = {
        **main,
        "format": "onnx",
        "key": object_key(model, main["digest"], "onnx"),
        "files": [file | {"key": file_key(model, file["digest"])} for file in beside],
    }
    names = [path.name for path in given.beside]
    if len(set(names)) < len(names):
        raise DeliveryError(f"--data-file: two files of one name among {', '.join(names)}; each stands in one folder")
    try:
        return Artefact.model_validate_json(json.dumps(document))
    except ValidationError as error:
        details = error.errors()[0]
        raise DeliveryError(f"{details['input']!r}: not a file of a model: {details['msg']}") from None


def _hashed(path: Path) -> dict[str, Any]:
    with system_errors("reading the model", "name a file that exists and that you may read"), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"digest": f"sha256:{digest}", "size": os.fstat(file.fileno()).st_size}


@contextmanager
def _staged(given: Given) -> Iterator[Path]:
    """Yield a folder with the files alone, as a pod has them: links where the disk allows it, else copies."""
    names = [(given.file, MODEL_FILE), *((path, path.name) for path in given.beside)]
    action = "make the folder of the model writable, or free its size in the temporary folder"
    with system_errors("laying out the model", action):
        beside = given.file.resolve().parent
        place = beside if os.access(beside, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix=".stellwerk-", dir=place) as folder:
            for path, name in names:
                try:
                    os.link(path.resolve(), Path(folder) / name)
                except OSError:
                    shutil.copyfile(path, Path(folder) / name)
            yield Path(folder)


def _load(folder: Path, artefact: Artefact) -> Model:
    try:
        files = {file.name: file.digest for file in artefact.files}
        return load(folder / MODEL_FILE, artefact.digest, files=files)
    except StartError as error:
        raise DeliveryError(
            f"the model cannot be served: {' '.join(str(error).split())}; nothing is imported"
        ) from None


def _examples(model: str, content: bytes, rows: int) -> ExampleRows:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return ExampleRows(digest=digest, size=len(content), key=object_key(model, digest, "json"), rows=rows)


def _release(
    model: str, identity: str, artefact: Artefact, image: str, loaded: Model, rated: Evaluated | None, given: Given
) -> Release:
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    imported = {"by": getpass.getuser(), "from": given.source or given.file.name, "note": given.note}
    document: dict[str, Any] = {
        "apiVersion": "stellwerk.dev/v2",
        "kind": "Release",
        "metadata": {"model": model, "release": identity, "created": created},
        "artefact": artefact.model_dump(mode="json"),
        "serving": {"image": image},
        "interface": {side: [one.metadata() for one in getattr(loaded, side)] for side in ("inputs", "outputs")},
        "reference": {"inputs": {}},
        "origin": {"imported": imported | {"created": created}},
    }
    if rated:
        examples = _examples(model, rated.content, rated.rows)
        document["evaluation"] = rated.evaluation
        document["examples"] = examples.model_dump(mode="json")
        document["data"] = {
            "name": rated.name,
            "digest": examples.digest,
            "rows": {"train": 0, "heldOut": rated.rows},
        }
    try:
        return Release.model_validate_json(json.dumps(document))
    except ValidationError as error:
        details = error.errors()[0]
        place = ".".join(map(str, details["loc"]))
        raise DeliveryError(f"the model makes no release: {place}: {details['msg']}; nothing is imported") from None


def _publish(
    session: Session, environment: str, given: Given, document: Release, rated: Evaluated | None, console: Console
) -> None:
    """Bring every object into the store; what is there already, of an import that was interrupted, stays."""
    artefact = document.artefact
    files = [*zip(given.beside, artefact.files, strict=True), (given.file, artefact)]
    with session.store(environment) as target:
        for path, item in files:
            moved = transfer.upload(path, target, item)
            console.print(f"{path.name} {item.key}: {moved} bytes brought to {environment}", soft_wrap=True)
        if rated and document.examples:
            transfer.write(rated.content, target, document.examples)


def _say_unevaluated(session: Session, model: str, identity: str, console: Console) -> None:
    project = session.project
    refusing = [
        name
        for name in project.environments
        if model in project.served(name) and not takes_unevaluated(project.environment(name), model)
    ]
    where = (
        f"; refused by {', '.join(refusing)}, unless acceptsUnevaluated of {model} is true there" if refusing else ""
    )
    console.print(f"{identity} has no evaluation, as no --examples were given{where}", soft_wrap=True)
