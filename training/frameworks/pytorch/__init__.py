"""PyTorch: `fit` returns a `torch.nn.Module` on raw inputs, called with the inputs in the order of the document."""

import logging
import random
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.document import Model
from training.errors import TrainingError
from training.export import batches, named
from training.frameworks.pytorch.workers import connect

__all__ = ["answers", "connect", "export", "prepare"]

# What the exporter writes without converting it, and what the server's ONNX Runtime has known for long.
_OPSET = 20
# A file of Protocol Buffers has 2 GB at most: above half of that, tensors are in a file beside the model's.
_INSIDE = 1 << 30


def prepare(device: str, seed: int) -> None:
    """Seed Python, NumPy and PyTorch; raise TrainingError when CUDA is asked for and there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "STELLWERK_DEVICE is 'cuda' and no CUDA device is visible;"
            " give the training Job a GPU node pool or set the device to 'cpu'"
        )
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def answers(fitted: Any, model: Model, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the module's answers by output, computed on the CPU as the exported file's are."""
    module = _module(fitted)
    with torch.inference_mode():
        parts = [named(model, _arrays(module(*_tensors(batch)))) for batch in batches(inputs)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def export(fitted: Any, model: Model, sample: Mapping[str, NDArray[Any]], path: Path, inside: int = _INSIDE) -> None:
    """Write the module as ONNX, with more than `inside` bytes of tensors in `model.onnx.data` beside it.

    Raise TrainingError with what PyTorch cannot export.
    """
    # It warns of packages that are not needed, and of its own way of naming sizes.
    logging.getLogger("torch").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = _program(_module(fitted), model, _tensors(sample))
    except torch.onnx.OnnxExporterError as error:
        raise TrainingError(
            f"export: PyTorch cannot export this module with an open number of rows: {_last_line(error)}"
        ) from error
    size = sum(value.const_value.nbytes for value in program.model.graph.initializers.values() if value.const_value)
    program.save(path, external_data=size > inside)


def _program(module: torch.nn.Module, model: Model, sample: tuple[torch.Tensor, ...]) -> Any:
    # One for all inputs: a row has a value of each.
    rows = torch.export.Dim("rows")
    return torch.onnx.export(
        module,
        sample,
        dynamo=True,
        opset_version=_OPSET,
        input_names=[column.name for column in model.inputs],
        output_names=[column.name for column in model.outputs],
        dynamic_shapes=tuple({0: rows} | _open_sizes(column.shape) for column in model.inputs),
        external_data=False,
        verbose=False,
    )


def _open_sizes(shape: tuple[int, ...]) -> dict[int, Any]:
    return {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(shape, 1) if size == -1}


def _module(fitted: Any) -> torch.nn.Module:
    """Return the module as it answers: on the CPU, without dropout and the like."""
    if not isinstance(fitted, torch.nn.Module):
        raise TrainingError(f"`fit` has returned {type(fitted).__name__}; with PyTorch it returns a torch.nn.Module")
    return fitted.cpu().eval()


def _tensors(inputs: Mapping[str, NDArray[Any]]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(values)) for values in inputs.values())


def _arrays(answered: Any) -> list[NDArray[Any]]:
    every = answered if isinstance(answered, tuple | list) else [answered]
    return [tensor.numpy() for tensor in every]


def _last_line(error: BaseException) -> str:
    """Return the reason at the root of an error: PyTorch's own text is a page long."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
