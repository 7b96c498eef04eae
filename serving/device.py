"""Where ONNX Runtime computes: on the CPU, or on a GPU with CUDA."""

from collections.abc import Sequence
from typing import Any

import onnxruntime

from serving.errors import StartError
from serving.settings import CPU, CUDA

_CPU_PROVIDER, _CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
# Answers are those of the CPU up to rounding: with TF32 matrices keep three decimal places of their numbers.
_CUDA_OPTIONS = {"use_tf32": "0"}
_ACTION = (
    "build the serving image with images.servingCuda: true and release the model with it, or serve it on the CPU with "
    "gpu: 0"
)


def providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """Return ONNX Runtime's providers for a device, in the order of preference.

    Raises StartError where this image has none for it.
    """
    if device == CPU:
        return [_CPU_PROVIDER]
    known = onnxruntime.get_available_providers()
    if _CUDA_PROVIDER not in known:
        raise StartError(
            f"environment: STELLWERK_DEVICE is 'cuda', and this image's ONNX Runtime has {', '.join(known)} only: "
            f"{_ACTION}"
        )
    # The libraries are Python packages, which the loader does not look into by itself.
    onnxruntime.preload_dlls()
    # What has no kernel for GPUs is computed on the CPU.
    return [(_CUDA_PROVIDER, _CUDA_OPTIONS), _CPU_PROVIDER]


def require(device: str, used: Sequence[Any]) -> None:
    """Raise StartError unless a session has its device: where CUDA does not start, ONNX Runtime takes the CPU."""
    if device == CUDA and _CUDA_PROVIDER not in used:
        raise StartError(
            "environment: STELLWERK_DEVICE is 'cuda', and CUDA does not start here: the pod has no GPU, or the node's "
            "driver is older than this image's CUDA; look at the node's nvidia.com/cuda.driver labels, or serve with "
            "gpu: 0"
        )
