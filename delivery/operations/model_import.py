"""`stellwerk model import`: a model that was made elsewhere becomes a release, its files in the first store."""

import getpass
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from delivery.clients import transfer
from delivery.errors import DeliveryError
from delivery.operations import evaluation
from delivery.operations.evaluation import Evaluated
from delivery.operations.existing import require_files
from delivery.operations.interfaces import Interface, interface_of, require_interface
from delivery.operations.layout import Layout, lay_out, load_model
from delivery.operations.release import write
from delivery.operations.serving_image import serving_image
from delivery.operations.writing import identity_after
from delivery.session import Session
from infra.composition.handover import HOOKS as BUILT
from infra.composition.hooks import digest, has_hooks, image
from infra.contract.artefact import Artefact, ExampleRows, Format, object_key
from infra.contract.model import HOOKS, Framework, Models
from infra.contract.model import Model as Document
from infra.contract.release import Release, Serving, Task
from infra.services.serving import takes_unevaluated


@dataclass(frozen=True)
class Given:
    """What is imported: the model's file, those beside it, rows to evaluate it with, and where it comes from."""

    file: Path | None
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
    project = session.project
    document = project.models.load(model) if model in project.models.names() else None
    layout = lay_out(given.file or require_files(project.models, model), given.beside)
    first = project.first
    serving = _serving(session, first, model, layout.format)
    artefact = layout.artefact(model)
    if serving.hooks is None:
        with layout.staged() as folder:
            loaded = load_model(folder, artefact)
            rated = evaluation.evaluate(project.models, model, loaded, given.examples, given.task)
        interface = interface_of(loaded)
    else:
        rated, interface = None, _stated(project.models, model, document, layout, given)
    if document and document.framework is Framework.NONE:
        require_interface(project.models.file(model), document, interface)
    releases = project.releases
    examples = rated and _examples(model, rated.content, rated.rows)
    for identity in releases.ids(model):
        known = releases.load(model, identity)
        if (known.artefact, known.serving, known.examples) == (artefact, serving, examples):
            return identity
    identity = identity_after(releases.ids(model), artefact.digest)
    release = _release(model, identity, artefact, serving, interface, rated, layout, given)
    _publish(session, first, layout, release, rated, console)
    write(releases, model, identity, release)
    if rated is None:
        _say_unevaluated(session, model, identity, console)
    return identity


def _serving(session: Session, environment: str, model: str, form: Format) -> Serving:
    """Return the image that serves the model, its own where it has code around the file.

    Raise DeliveryError where it needs one that there is not, or that has other code than this checkout.
    """
    outputs, models = session.engine.outputs(environment), session.project.models
    if not has_hooks(models, model):
        if form is Format.ONNX:
            return Serving(image=serving_image(session, environment))
        raise DeliveryError(
            f"a model of the format {form} is answered by code of its own; write {models.name}/{model}/{HOOKS} with "
            f"`predict`, run `pulumi up --stack {environment}`, and import it again, or export the model to ONNX"
        )
    own = image(model)
    if outputs.get(BUILT, {}).get(own) != digest(models, model):
        raise DeliveryError(
            f"{environment} has built no image {own} with {models.name}/{model}/{HOOKS} as it is here; with {model} "
            f"under stellwerk:models there, run `pulumi up --stack {environment}`, and import it again"
        )
    return Serving(image=outputs["images"][own], hooks=digest(models, model))


def _stated(models: Models, model: str, document: Document | None, layout: Layout, given: Given) -> Interface:
    """Return the interface that the model's document says: no such file says it."""
    form = layout.format
    if document is None:
        raise DeliveryError(
            f"{layout.model}: a model of the format {form} does not say what it takes and returns; write "
            f"{models.file(model)} with framework: none, inputs and outputs"
        )
    if given.examples:
        raise DeliveryError(
            f"--examples {given.examples}: this command runs ONNX files alone, and no model's code; a model with "
            f"{models.name}/{model}/{HOOKS} is imported without an evaluation: leave --examples away"
        )
    return interface_of(document)


def _examples(model: str, content: bytes, rows: int) -> ExampleRows:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return ExampleRows(digest=digest, size=len(content), key=object_key(model, digest, "json"), rows=rows)


def _release(
    model: str,
    identity: str,
    artefact: Artefact,
    serving: Serving,
    interface: Interface,
    rated: Evaluated | None,
    layout: Layout,
    given: Given,
) -> Release:
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    imported = {"by": getpass.getuser(), "from": given.source or (given.file or layout.model).name, "note": given.note}
    document: dict[str, Any] = {
        "apiVersion": "stellwerk.dev/v2",
        "kind": "Release",
        "metadata": {"model": model, "release": identity, "created": created},
        "artefact": artefact.model_dump(mode="json"),
        "serving": serving.model_dump(mode="json"),
        "interface": interface,
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
    session: Session, environment: str, layout: Layout, document: Release, rated: Evaluated | None, console: Console
) -> None:
    """Bring every object into the store; what is there already, of an import that was interrupted, stays."""
    artefact = document.artefact
    files = [*zip(layout.beside.values(), artefact.files, strict=True), (layout.model, artefact)]
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
