"""A model whose `serve.py` stands between requests and ONNX Runtime, or answers instead of it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from serving.artefact import verified
from serving.errors import StartError
from serving.hooks import Hooks
from serving.inline import ShortRuns
from serving.model import Model, Runner, Tensor, load
from serving.settings import CPU


class _InTurn(ShortRuns):
    """No run is short enough for the event loop: a model's own code may wait, and expects one caller at a time."""

    def covers(self, size: tuple[int, ...]) -> bool:
        return False

    def record(self, size: tuple[int, ...], nanoseconds: int) -> None:
        pass


class HookedModel(Runner):
    """Answers by decode, the file in ONNX Runtime (or predict), and encode."""

    def __init__(self, hooks: Hooks, session: Model | None, files: Path) -> None:
        """Answer by `session`, None where the hooks have `predict`; `files` is the folder of the release's files.

        Raises StartError when the file's inputs and outputs are not those that the hooks were written for.
        """
        interface = hooks.interface
        super().__init__(interface.inputs, interface.outputs, time.perf_counter_ns, _InTurn())
        self._hooks, self._session, self._files = hooks, session, files
        if session is not None:
            _require_equal("inputs", session.inputs, interface.file_inputs)
            _require_equal("outputs", session.outputs, interface.file_outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Return the named outputs for `feeds`.

        Raises what Hooks.call raises, and ModelError and MemoryError as the file's own run does.
        """
        arrays, hooks, session = feeds, self._hooks, self._session
        if "decode" in hooks.functions:
            arrays = hooks.call("decode", arrays, self._files, hooks.interface.file_inputs)
        if session is None:
            arrays = hooks.call("predict", arrays, self._files, hooks.interface.file_outputs)
        else:
            arrays = dict(zip(session.output_names, session.run(arrays, session.output_names), strict=True))
        if "encode" in hooks.functions:
            arrays = hooks.call("encode", arrays, self._files, self.outputs)
        return [arrays[name] for name in outputs]


def _require_equal(side: str, own: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    stated, expected = ([tensor.metadata() for tensor in tensors] for tensors in (own, wanted))
    if stated != expected:
        raise StartError(
            f"the {side} of the model's file are {_words(own)}, those that serve.py was built for {_words(wanted)}: "
            "this file and this image are not of one model"
        )


def _words(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.datatype} {tensor.metadata()['shape']}" for tensor in tensors)


def load_hooked(
    hooks: Hooks, path: Path, digest: str, intra_op_threads: int, files: Mapping[str, str], device: str = CPU
) -> HookedModel:
    """Return the model at `path` with its hooks; raises StartError as `load` does.

    Where the hooks have `predict`, the file is theirs to open: it has its digest, as have those beside it.
    """
    if "predict" not in hooks.functions:
        return HookedModel(hooks, load(path, digest, intra_op_threads, files, device), path.parent)
    with verified({path: digest} | {path.parent / name: wanted for name, wanted in files.items()}):
        return HookedModel(hooks, None, path.parent)
