"""Models of the framework `none`: an existing file, held against the document that says what it takes and returns."""

from collections.abc import Iterator
from pathlib import Path

from delivery.errors import DeliveryError
from delivery.operations import evaluation
from delivery.operations.interfaces import interface_of, require_interface
from delivery.operations.layout import lay_out, load_model
from infra.composition.hooks import has_hooks
from infra.contract.artefact import Format
from infra.contract.model import HOOKS, Model, Models

# Of the model's folder: its files as a pod has them, and rows to ask it with.
FILES = "model"
EXAMPLES = ("examples.json", "examples.csv")


def files_of(models: Models, model: str) -> Path | None:
    """Return the folder with the model's files, None where they are elsewhere: large ones hardly stand in git."""
    folder = models.folder / model / FILES
    return folder if folder.is_dir() else None


def checks(models: Models, model: str, document: Model) -> Iterator[tuple[str, str]]:
    """Yield what was looked at, and what was seen; raise DeliveryError for the first that does not hold."""
    place, files = f"{models.name}/{model}", files_of(models, model)
    if files is None:
        yield "interface", f"no folder {place}/{FILES} with the file; `stellwerk model import` looks at it"
        return
    layout = lay_out(files, ())
    if has_hooks(models, model):
        yield "interface", f"as the document says, which {place}/{HOOKS} makes of the file's; nothing runs it here"
        return
    if layout.format is not Format.ONNX:
        yield "interface", f"{layout.format}: as the document says; the file does not say it"
        return
    artefact = layout.artefact(model)
    with layout.staged() as folder:
        loaded = load_model(folder, artefact)
        require_interface(models.file(model), document, interface_of(loaded))
        yield "interface", " to ".join(", ".join(getattr(document, side)) for side in ("inputs", "outputs"))
        rows = next((file for name in EXAMPLES if (file := models.folder / model / name).is_file()), None)
        rated = evaluation.evaluate(models, model, loaded, rows, None)
    if rated is None:
        yield "examples", f"none: neither {' nor '.join(f'{place}/{name}' for name in EXAMPLES)}"
        return
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in rated.evaluation["metrics"].items())
    yield "examples", f"{rated.rows} rows: {metrics or 'answered'}"


def require_files(models: Models, model: str) -> Path:
    """Return the folder with the model's files; raise DeliveryError where there is none."""
    files = files_of(models, model)
    if files is None:
        raise DeliveryError(f"--file is needed: there is no folder {models.name}/{model}/{FILES} with the model's file")
    return files
