"""The author's interface: what a model's `train.py` gives, and what its functions are given.

```python
def load() -> Mapping[str, NDArray]: ...                # where the document names a file: load(file), or none at all
def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> <the framework's model>: ...
def evaluate(answers: Mapping[str, NDArray], rows: Rows) -> Mapping[str, float]: ...    # optional: own metrics
def export(model: <the framework's model>, path: Path) -> None: ...                     # optional: own ONNX export
```

`serve.py` beside it is optional, too: `training/hooks.py` has its functions.
"""

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from training import hooks
from training.errors import TrainingError
from training.hooks import Hooks
from training.workers import ALONE, Worker

FILE = "train.py"
FUNCTIONS = ("load", "fit", "evaluate", "export")


@dataclass(frozen=True)
class Rows:
    """Rows of a data set: each array has one entry per row, of the data type that the model's document says.

    `inputs` are in the order of the document, `target` is a class number where the document names classes or
    categories, `columns` are all further ones that `load` gave.
    """

    inputs: Mapping[str, NDArray[Any]]
    target: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.target)

    def column(self, name: str) -> NDArray[Any]:
        """Return an input, or one of the further columns."""
        return self.inputs[name] if name in self.inputs else self.columns[name]

    def of(self, which: Any) -> "Rows":
        """Return some of the rows, chosen by a mask, by numbers or by a slice."""
        return Rows(
            {name: values[which] for name, values in self.inputs.items()},
            self.target[which],
            {name: values[which] for name, values in self.columns.items()},
        )


@dataclass(frozen=True)
class Run:
    """The run that `fit` is part of: the device ('cpu' or 'cuda'), and `log(metric, value, step)` for its progress.

    With several workers `rows` are this one's, and `fit` trains `distribute(module)`, which averages the gradients of
    all; with one worker that is the module itself.
    """

    device: str
    log: Callable[[str, float, int], None]
    worker: Worker = ALONE
    distribute: Callable[[Any], Any] = lambda module: module


@dataclass(frozen=True)
class Author:
    """The functions of a model's `train.py`, those of its `serve.py`, and the folder that they stand in."""

    folder: Path
    load: Callable[..., Mapping[str, NDArray[Any]]]
    fit: Callable[[Rows, Mapping[str, int | float], Run], Any]
    evaluate: Callable[[Mapping[str, NDArray[Any]], Rows], Mapping[str, float]] | None = None
    export: Callable[[Any, Path], None] | None = None
    hooks: Hooks = field(default_factory=Hooks)


def no_load() -> Mapping[str, NDArray[Any]]:
    """Stand in for the `load` of a model whose document names a file; raise TrainingError where it does not."""
    raise TrainingError(
        f"{FILE} has no function load, and the model's document no data.source; docs/models.md has both"
    )


def read_author(folder: Path) -> Author:
    """Return the functions of `train.py`, and of `serve.py` where there is one.

    Raise TrainingError when there is no `train.py`, or a function that is needed lacks.

    The folder is a package of its own: `from . import features` takes `features.py` beside it.
    """
    file = folder / FILE
    if not file.is_file():
        raise TrainingError(f"{file}: there is no such file; a model's folder needs one with `fit`")
    package = _package(folder)
    module = importlib.import_module(f"{package}.{file.stem}")
    given = {name: getattr(module, name, None) for name in FUNCTIONS}
    if not callable(given["fit"]):
        raise TrainingError(f"{file}: it has no function fit; docs/models.md has it")
    served = folder / hooks.FILE
    own = hooks.hooks_of(importlib.import_module(f"{package}.{served.stem}"), served) if served.is_file() else Hooks()
    return Author(folder, **given | {"load": given["load"] or no_load}, hooks=own)


def _package(folder: Path) -> str:
    """Return the name under which the modules of a folder are imported."""
    # Named by its place: tests load several models, and each has its own `train`.
    package = ModuleType(f"model_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}")
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
    return package.__name__
