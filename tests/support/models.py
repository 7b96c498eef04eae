"""The models of this checkout as a training image has them."""

import tempfile
from functools import cache
from pathlib import Path

from infra.composition.contexts import stage_documents
from infra.contract.model import Models
from infra.values import ROOT
from training.model import Model, load_models

NAME = "model.json"


@cache
def training_models() -> dict[str, Model]:
    """Return them as training reads them, from what the build puts into the image."""
    with tempfile.TemporaryDirectory() as folder:
        return load_models(stage_documents(Models(ROOT / "models").documents(), NAME, Path(folder)))


def defaults(model: str) -> dict[str, int | float]:
    """Return a model's parameters as they are when none is given."""
    return {parameter.name: parameter.default for parameter in training_models()[model].parameters}
