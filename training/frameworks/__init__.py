"""What is different from framework to framework: each has a package here, with its adapter, its lock and so its image.

A further framework is a folder: a module with the functions of `Adapter`, `requirements.in` and its lock; and a word
more in the model's document (`Framework` in `infra/contract/model.py`).
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from training.document import Model
from training.errors import TrainingError


class Adapter(Protocol):
    """What training needs of a framework; `fitted` is what the author's `fit` has returned."""

    def prepare(self, device: str, seed: int) -> None:
        """Seed every generator of random numbers; raise TrainingError where the device is not available."""

    def answers(self, fitted: Any, model: Model, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the trained model's own answers by output; raise TrainingError when it is no model of this framework.

        `inputs` are whole rows, in the order of the document.
        """
        ...

    def export(self, fitted: Any, model: Model, sample: Mapping[str, NDArray[Any]], path: Path) -> None:
        """Write the model as ONNX with the document's inputs and outputs, the number of rows open.

        `sample` are some rows. Raise TrainingError when it cannot be exported.
        """


def adapter(framework: str) -> Adapter:
    """Return a framework's adapter; raise TrainingError when this image is another framework's."""
    name = f"{__name__}.{framework.replace('-', '_')}"
    try:
        module: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"{framework} is not installed ({error.name} is missing); a model's image has its framework"
        ) from error
    chosen: Adapter = module
    return chosen
