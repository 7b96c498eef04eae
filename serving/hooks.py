"""A model's own code around its file, or instead of it: the functions of `serve.py` in the model's own serving image.

The folder that MODEL_HOOKS names has `serve.py`, the modules that it imports, and `interface.json`: what requests and
answers look like. Training runs the functions in the same way for what it measures (`training/hooks.py`).
"""

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.errors import RequestError, StartError
from serving.model import BYTES, DTYPES, ModelError, Tensor

_FILE, _INTERFACE = "serve.py", "interface.json"
_NAMES = ("decode", "predict", "encode")
_PACKAGE = "model"
Arrays = Mapping[str, NDArray[Any]]
Hook = Callable[[Arrays, Path], Arrays]


class Interface(NamedTuple):
    """The tensors of requests and answers, and those of the model's file, which are the same where no hook is."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    file_inputs: tuple[Tensor, ...]
    file_outputs: tuple[Tensor, ...]


class HookError(ModelError):
    """A function of `serve.py` has failed, or has returned what it must not; `place` is a line of it."""

    def __init__(self, message: str, place: str) -> None:
        """Keep the message, and the place for the log."""
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class Hooks:
    """The functions that there are by name, and the tensors of requests and answers, and of the file between them."""

    folder: Path
    functions: Mapping[str, Hook]
    interface: Interface

    def call(self, name: str, arrays: Arrays, files: Path, wanted: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
        """Return what the function returns for arrays by name, in the order of `wanted`.

        Raises HookError when it fails or returns something else, RequestError with the text for a ValueError of
        `decode`.
        """
        rows = len(next(iter(arrays.values())))
        function = self.functions[name]
        try:
            given = function(arrays, files)
        except MemoryError:
            raise
        except Exception as error:
            place = self._place(error)
            if name == "decode" and isinstance(error, ValueError):
                raise RequestError(str(error) or "decode refuses these inputs", place=place) from error
            kind = type(error).__name__
            raise HookError(f"{name} failed: {kind}", f"{place}: {kind}: {error}") from error
        names = [tensor.name for tensor in wanted]
        if not isinstance(given, Mapping) or set(given) != set(names):
            shown = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
            raise self._wrong(name, f"returned {shown or 'nothing'}; expected are arrays by name: {', '.join(names)}")
        arrays = {tensor.name: _texts(tensor, given[tensor.name]) for tensor in wanted}
        for tensor in wanted:
            wrong = _mismatch(tensor, arrays[tensor.name], rows)
            if wrong:
                raise self._wrong(name, f"returned {tensor.name} {wrong}")
        return arrays

    def _place(self, error: BaseException) -> str:
        """Return the innermost line of the model's own code on the way to an error."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(self.folder)]
        return f"{Path(own[-1].filename).relative_to(self.folder)}:{own[-1].lineno}" if own else _FILE

    def _wrong(self, name: str, what: str) -> HookError:
        code = getattr(self.functions[name], "__code__", None)
        return HookError(f"{name} {what}", f"{_FILE}:{code.co_firstlineno}" if code else _FILE)


def read_hooks(folder: Path) -> Hooks:
    """Return the functions and the interface of a folder.

    Raises StartError when `serve.py` cannot be imported or has no function, with the line where its import failed.
    """
    folder = folder.resolve()
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[_PACKAGE] = package
    hooks = Hooks(folder, {}, _interface(folder / _INTERFACE))
    try:
        module = importlib.import_module(f"{_PACKAGE}.{Path(_FILE).stem}")
    # Whatever a model's own code raises; it may try to end the process, too.
    except (Exception, SystemExit) as error:
        place = f"{_FILE}:{error.lineno}" if isinstance(error, SyntaxError) else hooks._place(error)
        raise StartError(f"{place}: {_FILE} cannot be imported: {type(error).__name__}: {error}") from error
    functions = {name: function for name in _NAMES if callable(function := getattr(module, name, None))}
    if not functions:
        raise StartError(f"{folder / _FILE} has none of the functions {', '.join(_NAMES)}")
    return replace(hooks, functions=functions)


def _interface(file: Path) -> Interface:
    try:
        document = orjson.loads(file.read_bytes())
        sides = [one[side] for one in (document, document["session"]) for side in ("inputs", "outputs")]
        return Interface(*map(_tensors, sides))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartError(f"{file}: not the interface of a model ({error!r}); build the image again") from error


def _tensors(given: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    # Named as the one dimension that is equal in all inputs of a request.
    return tuple(
        Tensor(
            entry["name"],
            entry["datatype"],
            DTYPES[entry["datatype"]],
            ("rows", *(None if size == -1 else size for size in entry["shape"][1:])),
        )
        for entry in given
    )


def _texts(tensor: Tensor, values: Any) -> Any:
    """Return texts as objects, as the runtime and the encoder take them."""
    is_text = isinstance(values, np.ndarray) and values.dtype.kind == "U"
    return values.astype(object) if tensor.datatype == BYTES and is_text else values


def _mismatch(tensor: Tensor, values: Any, rows: int) -> str | None:
    """Return what of an array is not as the tensor says, for `rows` rows; None if all of it is."""
    if not isinstance(values, np.ndarray):
        return f"as {type(values).__name__}; expected is a NumPy array"
    texts = values.dtype.kind != "O" or all(type(value) is str for value in values.flat)
    if values.dtype != tensor.dtype or not texts:
        return f"as {values.dtype}; expected is {tensor.datatype}"
    shape = (rows, *tensor.shape[1:])
    fits = len(shape) == values.ndim and all(
        not isinstance(size, int) or size == real for size, real in zip(shape, values.shape, strict=True)
    )
    expected = [size if isinstance(size, int) else -1 for size in shape]
    return None if fits else f"with the shape {list(values.shape)}; expected is {expected}"
