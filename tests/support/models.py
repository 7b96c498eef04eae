"""The models of a team, as tests of the framework have them: in the checkout, and as a model's image has one."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from infra.contract.model import Models
from infra.services.training import staged
from tests.support.documents import TEAM
from training.author import read_author
from training.data import Dataset, load
from training.document import Model, read_model

MODELS = TEAM / "models"
# One with code of its own where it is served.
HOOKED = TEAM / "hooked"
# One that the team has not added yet.
LATER = TEAM / "later"


def copy_models(root: Path) -> None:
    """Give the checkout at `root` the models."""
    shutil.copytree(MODELS, root / "models", ignore=shutil.ignore_patterns("__pycache__"))


def place(folder: Path, model: str = "digits", models: Path = MODELS) -> Path:
    """Make `folder` what a model's image has of it."""
    return staged(Models(models), model, folder)


@cache
def training_model(model: str = "digits", models: Path = MODELS) -> Model:
    """Return a model as training reads it."""
    with tempfile.TemporaryDirectory() as folder:
        return read_model(place(Path(folder) / model, model, models))


@cache
def training_data(model: str = "digits", models: Path = MODELS) -> Dataset:
    """Return a model's data."""
    return load(training_model(model, models), read_author(models / model))
