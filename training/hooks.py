"""The functions of a model's `serve.py`, which stand between what is asked and the exported file.

```python
def decode(inputs: Mapping[str, NDArray], folder: Path) -> Mapping[str, NDArray]: ...     # the file's inputs
def predict(inputs: Mapping[str, NDArray], folder: Path) -> Mapping[str, NDArray]: ...    # instead of ONNX Runtime
def encode(outputs: Mapping[str, NDArray], folder: Path) -> Mapping[str, NDArray]: ...    # what is answered
```

Each is optional, and gets arrays by name with a row for each that was asked, and the folder of the release's files.
The server runs them in the same way (`serving/hooks.py`); here they are run for what is measured of a model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.columns import DTYPES
from training.document import Column, Model
from training.errors import TrainingError

FILE = "serve.py"
_NAMES = ("decode", "predict", "encode")
Arrays = Mapping[str, NDArray[Any]]
Hook = Callable[[Arrays, Path], Arrays]


class HookError(TrainingError):
    """A function of `serve.py` has failed, or has returned what it must not; `function` is that one."""

    def __init__(self, name: str, function: Hook, message: str) -> None:
        """Keep the function, and name it in the message."""
        super().__init__(f"{FILE}: `{name}` {message}")
        self.function = function


@dataclass(frozen=True)
class Hooks:
    """The functions of `serve.py`, None where it has none; without any, the file is asked and answers by itself."""

    decode: Hook | None = None
    predict: Hook | None = None
    encode: Hook | None = None

    def require_declared(self, model: Model) -> None:
        """Raise TrainingError unless the document says what `decode` returns and `encode` gets, and nothing else."""
        for key, hook, name in (
            ("inputs", self.decode, "decode"),
            ("outputs", self.encode, "encode"),
        ):
            declared = getattr(model, f"session_{key}") is not None
            if declared and hook is None:
                raise TrainingError(
                    f"the model's document has session.{key}, and {FILE} no `{name}`: write it, or remove the key"
                )
            if hook is not None and not declared:
                raise TrainingError(
                    f"{FILE} has `{name}`, and the model's document no session.{key}: say there what the exported "
                    f"file's own {key} are"
                )

    def decoded(self, model: Model, inputs: Arrays, folder: Path) -> Arrays:
        """Return the exported file's inputs; raise HookError as each of the three does."""
        return _call("decode", self.decode, inputs, folder, model.exported.inputs) if self.decode else inputs

    def predicted(self, model: Model, inputs: Arrays, folder: Path) -> Arrays:
        """Return what `predict` answers instead of the exported file."""
        return _call("predict", self.predict, inputs, folder, model.exported.outputs) if self.predict else inputs

    def encoded(self, model: Model, outputs: Arrays, folder: Path) -> Arrays:
        """Return what is answered: the outputs of the model's document."""
        return _call("encode", self.encode, outputs, folder, model.outputs) if self.encode else outputs


def hooks_of(module: ModuleType, file: Path) -> Hooks:
    """Return the functions of a `serve.py`; raise TrainingError when it has none."""
    given = {name: function for name in _NAMES if callable(function := getattr(module, name, None))}
    if not given:
        raise TrainingError(
            f"{file}: it has none of the functions {', '.join(_NAMES)}; write one (docs/models.md), or remove the file"
        )
    return Hooks(**given)


def _call(name: str, function: Hook, arrays: Arrays, folder: Path, wanted: Sequence[Column]) -> Arrays:
    rows = len(next(iter(arrays.values())))
    try:
        given = function({key: _read_only(values) for key, values in arrays.items()}, folder)
    # Whatever a model's own code raises.
    except Exception as error:
        raise HookError(name, function, f"failed: {type(error).__name__}: {error}") from error
    names = [column.name for column in wanted]
    try:
        if not isinstance(given, Mapping) or set(given) != set(names):
            shown = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
            raise TypeError(f"{shown or 'nothing'}; expected are arrays by name: {', '.join(names)}")
        return {column.name: _checked(column, given[column.name], rows) for column in wanted}
    except TypeError as error:
        raise HookError(name, function, f"has returned {error}") from None


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values so that they cannot be changed: they are asked for more than once."""
    view = values.view()
    view.flags.writeable = False
    return view


def _checked(column: Column, values: Any, rows: int) -> NDArray[Any]:
    """Return an array that a function has returned, texts as objects; raise TypeError with what is wrong."""
    if not isinstance(values, np.ndarray):
        raise TypeError(f"{type(values).__name__} for {column.name}; expected is a NumPy array")
    checked: NDArray[Any] = values
    if column.datatype == "BYTES" and values.dtype.kind == "U":
        checked = values.astype(object)
    wanted, shape = np.dtype(DTYPES[column.datatype]), (rows, *column.shape)
    if checked.dtype != wanted or not (wanted.kind != "O" or all(type(text) is str for text in checked.flat)):
        raise TypeError(f"{column.name} as {values.dtype}; the model's document says {column.datatype}")
    if checked.ndim != len(shape) or any(a not in (-1, b) for a, b in zip(shape, checked.shape, strict=True)):
        raise TypeError(
            f"{column.name} with the shape {list(checked.shape)} for {rows} rows; the model's document says "
            f"{list(column.shape)} a row"
        )
    return checked
