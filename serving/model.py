"""An ONNX model in ONNX Runtime: what it takes, what it returns, and its execution."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

from serving.artefact import check_folder, verified
from serving.device import providers, require
from serving.errors import RequestError, StartError
from serving.inline import ShortRuns
from serving.settings import CPU

# Strings: what the protocol calls them.
BYTES = "BYTES"
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
    "tensor(string)": BYTES,
}
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    BYTES: np.dtype(np.object_),
} | {f"{kind}{bits}": np.dtype(f"{kind.lower()}{bits}") for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)}
# What ONNX Runtime says when the values of a run do not fit the memory it was given.
_NO_MEMORY = ("Available memory of", "Failed to allocate memory", "bad_alloc", "bad allocation")

_HINTS = {
    "tensor": "cast it to one that is, inside the model",
    "seq": "sequences are not; from scikit-learn, convert with the option zipmap=False",
    "map": "maps are not; from scikit-learn, convert with the option zipmap=False",
    "optional": "optional values are not; give the tensor a default",
}


class ModelError(Exception):
    """The model has no result for these inputs, such as sizes or indices that do not fit together."""


@dataclass(frozen=True)
class Tensor:
    """An input or output: `shape` holds a size, the name of an open dimension, or None if it is open and unnamed."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]

    @property
    def where(self) -> str:
        """Return how messages about a request name it."""
        return f"input {self.name!r}"

    def metadata(self) -> dict[str, object]:
        """Return it as the protocol's metadata; open dimensions are -1."""
        shape = [size if isinstance(size, int) else -1 for size in self.shape]
        return {"name": self.name, "datatype": self.datatype, "shape": shape}


class Runner(ABC):
    """What answers requests: what it takes, what it returns, and its execution."""

    def __init__(
        self,
        inputs: tuple[Tensor, ...],
        outputs: tuple[Tensor, ...],
        clock: Callable[[], int],
        short_runs: ShortRuns,
    ) -> None:
        """Take `inputs` and return `outputs`; `clock` has the nanoseconds of a run, `short_runs` which are short."""
        self.inputs, self.outputs = inputs, outputs
        self.output_names = [output.name for output in self.outputs]
        self.takes_strings = any(tensor.datatype == BYTES for tensor in self.inputs)
        self.returns_strings = any(tensor.datatype == BYTES for tensor in self.outputs)
        self._clock, self.short_runs = clock, short_runs

    @abstractmethod
    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Return the named outputs for `feeds` (input names to arrays of the input's dtype).

        Raises ModelError when the model has no result for these inputs, and MemoryError when they need more memory
        than there is.
        """

    def warm_up(self, feeds: Mapping[str, NDArray[Any]] | None = None) -> str | None:
        """Run twice, so that the first request finds the model warm; return why that was not possible, or None.

        `feeds` are example rows. Without them every open dimension and every value is 1 (a string: "1"), which not
        every model allows: a run that fails is no reason not to serve, only the first requests are slower then.
        """
        if feeds is None:
            feeds = {tensor.name: _ones(tensor) for tensor in self.inputs}
        size = sizes(feeds)
        try:
            self.run(feeds, self.output_names)
            self.short_runs.record(size, self.timed_run(feeds, self.output_names)[1])
        except (ModelError, MemoryError, RequestError) as error:
            return str(error)
        return None

    def timed_run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> tuple[list[NDArray[Any]], int]:
        """Return what `run` does, and its nanoseconds.

        With one thread its own processor time counts, so that what else the machine does has no part in it.
        """
        started = self._clock()
        return self.run(feeds, outputs), self._clock() - started


class Model(Runner):
    """A loaded model."""

    def __init__(self, source: bytes | str, intra_op_threads: int = 1, mapped: bool = False, device: str = CPU) -> None:
        """Load the ONNX file that `source` is, or is the path of; raises StartError if it cannot be served.

        `mapped`: the tensors in other files stay there, mapped into memory. `device`: "cpu" or "cuda".
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = intra_op_threads
        options.inter_op_num_threads = 1
        # What it would write to standard error is raised, too, and answered or logged in this server's form.
        options.log_severity_level = 4
        # A pattern would be kept for ever for each size of a batch.
        options.enable_mem_pattern = False
        # Waiting threads that spin use up the CPU share of the pod.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The memory that limit_runs gives is for runs alone.
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        if mapped:
            # Kernels would keep a copy of each matrix in the order they like best: a little faster, twice the memory.
            options.add_session_config_entry("session.disable_prepacking", "1")
        wanted = providers(device)
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=wanted)
        # ONNX Runtime's exceptions share no base class but Exception.
        except Exception as error:
            raise StartError(_why_not_loaded(error)) from error
        require(device, self._session.get_providers())
        # The session's own run looks at names and types again, which are checked where a request is read.
        self._run = self._session._sess.run
        super().__init__(
            tuple(_tensor("input", value) for value in self._session.get_inputs()),
            tuple(_tensor("output", value) for value in self._session.get_outputs()),
            # What a GPU computes takes none of the thread's own time.
            time.thread_time_ns if intra_op_threads == 1 and device == CPU else time.perf_counter_ns,
            ShortRuns(),
        )

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Return the named outputs for `feeds` (input names to arrays of the input's dtype).

        Raises ModelError when the model has no result for these inputs, and MemoryError when they need more memory
        than limit_runs gave.
        """
        try:
            results: list[NDArray[Any]] = self._run(outputs, feeds, None)
        except (state.Fail, state.InvalidArgument, state.RuntimeException) as error:
            message = " ".join(str(error).split())
            if any(words in message for words in _NO_MEMORY):
                raise MemoryError(message) from error
            raise ModelError(message) from error
        except UnicodeDecodeError as error:
            raise ModelError(f"it returns a string that is not UTF-8: {error}") from error
        return results


def sizes(feeds: Mapping[str, NDArray[Any]]) -> tuple[int, ...]:
    """Return what the work of a run depends on: all dimensions of all inputs, and the characters of all strings."""
    dimensions = tuple(chain.from_iterable([array.shape for array in feeds.values()]))
    strings = [array for array in feeds.values() if array.dtype.kind == "O"]
    if not strings:
        return dimensions
    return (*dimensions, sum(len(value) for array in strings for value in array.reshape(-1).tolist()))


def _ones(tensor: Tensor) -> NDArray[Any]:
    shape = [size if isinstance(size, int) else 1 for size in tensor.shape]
    return np.full(shape, "1" if tensor.datatype == BYTES else 1, tensor.dtype)


def limit_runs(size: int) -> None:
    """Give all models loaded afterwards `size` bytes for the values they compute; once per process."""
    info = state.OrtMemoryInfo("Cpu", state.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, state.OrtMemType.DEFAULT)
    # 1: grow by what is needed, not to the next power of two; -1: ONNX Runtime's defaults.
    onnxruntime.create_and_register_allocator(info, state.OrtArenaCfg(size, 1, -1, -1))


def _tensor(role: str, value: Any) -> Tensor:
    if value.type not in DATATYPES:
        hint = _HINTS.get(value.type.split("(")[0], _HINTS["tensor"])
        raise StartError(
            f"the model's {role} {value.name!r} is a {value.type}, which is not served: {hint}; served are: "
            f"{', '.join(DATATYPES)}"
        )
    datatype = DATATYPES[value.type]
    return Tensor(value.name, datatype, DTYPES[datatype], tuple(value.shape))


def _why_not_loaded(error: Exception) -> str:
    message = " ".join(str(error).split())
    if "xternal data" in message or "xternal initializer" in message:
        return (
            "the model keeps tensors outside its file (ONNX external data), in what is no file of the artefact, or not "
            f"as the model says: name each in ARTEFACT_FILES, or save the model with all tensors inside ({message})"
        )
    return f"the model cannot be run by ONNX Runtime {onnxruntime.__version__}: {message}"


def load(
    path: Path, digest: str, intra_op_threads: int = 1, files: Mapping[str, str] | None = None, device: str = CPU
) -> Model:
    """Return the model at `path`; raises StartError unless it has `digest` (``sha256:<hex>``) and can be served.

    `files` are further files of its folder with tensors (ONNX external data), by name, and their digests: they are
    mapped into memory, not read into it. Without them ONNX Runtime reads the model through the file that was hashed.
    """
    if not files:
        with verified({path: digest}) as (opened,):
            # By this name there is no folder in which ONNX Runtime could find further files that nobody hashed.
            return Model(opened, intra_op_threads, device=device)
    with verified({path: digest} | {path.parent / name: wanted for name, wanted in files.items()}):
        # ONNX Runtime takes nothing from outside the model's folder.
        check_folder(path.parent, {path.name, *files})
        return Model(str(path), intra_op_threads, mapped=True, device=device)
