"""Keras 3 on JAX: `fit` returns a `keras.Model` on raw inputs, called with the inputs in the order of the document."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.document import Column, Model
from training.errors import TrainingError
from training.export import batches, named

# Before Keras is imported: it is of one backend from then on.
os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
from jax2onnx import to_onnx


def prepare(device: str, seed: int) -> None:
    """Seed Python, NumPy and Keras; raise TrainingError for CUDA and for another backend, which the image lacks."""
    if device == "cuda":
        raise TrainingError("STELLWERK_DEVICE is 'cuda', and Keras trains on the CPU here; set the device to 'cpu'")
    if keras.backend.backend() != "jax":
        raise TrainingError(f"KERAS_BACKEND is {keras.backend.backend()!r}; models are exported from 'jax' alone")
    keras.utils.set_random_seed(seed)


def answers(fitted: Any, model: Model, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the model's answers by output."""
    answer = _function(fitted)
    parts = [named(model, [np.asarray(values) for values in answer(*batch.values())]) for batch in batches(inputs)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def export(fitted: Any, model: Model, sample: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write the model as ONNX; raise TrainingError with what its converter cannot convert."""
    answer = _function(fitted)
    try:
        converted = to_onnx(
            answer,
            inputs=[_argument(column, sample[column.name].dtype) for column in model.inputs],
            input_names=[column.name for column in model.inputs],
            output_names=[column.name for column in model.outputs],
        )
    # A converter may end with anything at all.
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line), type(error).__name__)
        raise TrainingError(f"export: this Keras model cannot be converted to ONNX: {reason}") from error
    path.write_bytes(converted.SerializeToString())


def _argument(column: Column, dtype: Any) -> Any:
    """Return an input's shape and type, the number of rows open."""
    sizes = (f"size_{axis}" if size == -1 else size for axis, size in enumerate(column.shape))
    return jax.ShapeDtypeStruct(("rows", *sizes), dtype)


def _function(fitted: Any) -> Any:
    """Return the model as it answers: without dropout and the like, always with a tuple."""
    if not isinstance(fitted, keras.Model):
        raise TrainingError(f"`fit` has returned {type(fitted).__name__}; with Keras it returns a keras.Model")

    def answer(*inputs: Any) -> tuple[Any, ...]:
        answered = fitted(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
        return tuple(answered) if isinstance(answered, tuple | list) else (answered,)

    return answer
