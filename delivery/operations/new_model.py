"""`stellwerk model new`: a model's folder from a template, which is a model's folder itself."""

import re
import shutil
import tempfile
from pathlib import Path

import yaml

from delivery.errors import DeliveryError, system_errors
from delivery.project import Project
from infra.contract.model import FILE, Framework, Model, Models, require_name
from infra.contract.problems import suggest
from infra.values import file_name

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
_README = "README.md"
_KEY = re.compile(r"^name: .*$", re.MULTILINE)
_PLACEHOLDER = "NAME"


def templates(folder: Path = TEMPLATES) -> dict[str, Model]:
    """Return the templates by name with their documents; those of frameworks without an adapter are left out."""
    known = Models(folder, "delivery/templates")
    return {name: known.load(name) for name in known.names() if _framework(folder / name / FILE) in set(Framework)}


def _framework(file: Path) -> str:
    framework: str = yaml.safe_load(file.read_text(encoding="utf-8"))["framework"]
    return framework


def write(models: Models, model: str, template: str, folder: Path = TEMPLATES) -> list[str]:
    """Write the model's folder, in one step at the end; return its files, as messages name them.

    Raise ConfigError for a name that is not allowed, DeliveryError for an unknown template or a folder that exists.
    """
    known = templates(folder)
    require_name(model)
    if template not in known:
        listed = "\n".join(
            f"  {name}: {document.framework}, {document.description}" for name, document in known.items()
        )
        action = suggest(template, known, "choose one of these with --template")
        raise DeliveryError(f"template {template!r}: not known; {action}\n{listed}")
    place = models.folder / model
    if place.exists():
        raise DeliveryError(
            f"{models.name}/{model}: there is such a folder already, it stays as it is; choose another name"
        )
    with system_errors(f"writing {models.name}/{model}", f"make {models.name} writable"):
        models.folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=models.folder) as partial:
            made = Path(partial, model)
            shutil.copytree(folder / template, made, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            _fill(made, model)
            made.rename(place)
    return [f"{models.name}/{file.relative_to(models.folder)}" for file in sorted(place.rglob("*")) if file.is_file()]


def _fill(folder: Path, model: str) -> None:
    """Write the name where the template has its own: in the document, and in the page for people."""
    document, page = folder / FILE, folder / _README
    document.write_text(_KEY.sub(f"name: {model}", document.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    page.write_text(page.read_text(encoding="utf-8").replace(_PLACEHOLDER, model), encoding="utf-8")


def next_steps(project: Project, model: str) -> str:
    """Return what to do next: the checks, and the lines that stack files need."""
    others = project.environments[1:]
    first = project.environments[0] if project.environments else "<environment>"
    lines = [
        f"next: put your data and your model into it; `stellwerk model check {model}` takes seconds.",
        f"To train and to serve it in {first}, two lines in {file_name(first)}:",
        f"  under stellwerk:training:  {model}: {{}}",
        f"  under stellwerk:models:    {model}: {{release: null}}",
    ]
    if others:
        lines.append(f"To serve it further on, the second one in {', '.join(map(file_name, others))}, too.")
    return "\n".join(lines)
