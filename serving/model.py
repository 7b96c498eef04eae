"""An ONNX model in ONNX Runtime: what it takes, what it returns, and its execution."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.errors import StartError

# ONNX Runtime's type names to the data types of the Open Inference Protocol v2.
DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
} | {f"{kind}{bits}": np.dtype(f"{kind.lower()}{bits}") for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)}
# A run this short costs less than handing it to a thread.
INLINE_NANOSECONDS = 1_000_000


@dataclass(frozen=True)
class Tensor:
    """An input or output: `shape` holds a size, the name of an open dimension, or None if it is open and unnamed."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]

    def metadata(self) -> dict[str, object]:
        """Return it as the protocol's metadata; open dimensions are -1."""
        shape = [size if isinstance(size, int) else -1 for size in self.shape]
        return {"name": self.name, "datatype": self.datatype, "shape": shape}


class Model:
    """A loaded model; `inline_rows` is the largest batch that is run without a thread of its own."""

    def __init__(self, content: bytes, intra_op_threads: int = 1) -> None:
        """Load and run once, so that the first request finds it warm; raises StartError if either fails."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = intra_op_threads
        options.inter_op_num_threads = 1
        # Waiting threads that spin use up the CPU share of the pod.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            self.inputs = tuple(_tensor(value) for value in self._session.get_inputs())
            self.outputs = tuple(_tensor(value) for value in self._session.get_outputs())
            self.inline_rows = self._warm_up()
        except StartError:
            raise
        # ONNX Runtime's exceptions share no base class but Exception.
        except Exception as error:
            raise StartError(f"the model cannot be run by ONNX Runtime {onnxruntime.__version__}: {error}") from error
        self.output_names = [output.name for output in self.outputs]

    def _warm_up(self) -> int:
        feeds = {
            tensor.name: np.zeros([size if isinstance(size, int) else 1 for size in tensor.shape], tensor.dtype)
            for tensor in self.inputs
        }
        self._session.run(None, feeds)
        started = time.perf_counter_ns()
        self._session.run(None, feeds)
        return int(INLINE_NANOSECONDS / max(1, time.perf_counter_ns() - started))

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Return the named outputs for `feeds` (input names to arrays of the input's dtype)."""
        results: list[NDArray[Any]] = self._session.run(outputs, feeds)
        return results


def _tensor(value: Any) -> Tensor:
    if value.type not in DATATYPES:
        raise StartError(f"the model's tensor {value.name!r} is a {value.type}; served are: {', '.join(DATATYPES)}")
    datatype = DATATYPES[value.type]
    return Tensor(value.name, datatype, DTYPES[datatype], tuple(value.shape))


def load(path: Path, digest: str, intra_op_threads: int = 1) -> Model:
    """Return the model at `path`; raises StartError unless its content has `digest` (``sha256:<hex>``)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StartError(f"the model cannot be read: {error}") from error
    # The very bytes that were hashed are loaded; the file is not opened again.
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise StartError(f"{path} has digest {found}, expected {digest}; it is not served")
    return Model(content, intra_op_threads)
