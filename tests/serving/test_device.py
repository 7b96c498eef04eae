"""A model that is to be computed on a GPU is, or it does not start: never on the CPU unsaid."""

import numpy as np
import onnxruntime
import pytest

from serving.device import providers, require
from serving.errors import StartError
from serving.model import Model
from serving.settings import serve
from tests.support.onnx_models import doubling_model

GIVEN = {"MODEL_NAME": "m", "MODEL_DIGEST": "sha256:" + "0" * 64, "RELEASE": "r", "RUN_ID": "1", "ENVIRONMENT": "e"}
CUDA = "CUDAExecutionProvider"


def test_the_device_is_the_cpu_unless_it_is_said() -> None:
    assert serve(GIVEN).device == "cpu"
    assert serve({**GIVEN, "STELLWERK_DEVICE": "cuda"}).device == "cuda"
    with pytest.raises(StartError, match="STELLWERK_DEVICE is 'gpu'; allowed are cpu, cuda"):
        serve({**GIVEN, "STELLWERK_DEVICE": "gpu"})


def test_an_image_without_cuda_says_how_to_get_one() -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(StartError, match=r"has .*CPUExecutionProvider only: .*images\.servingCuda: true"):
        Model(doubling_model(), device="cuda")


def test_a_session_that_has_fallen_back_to_the_cpu_is_refused() -> None:
    with pytest.raises(StartError, match="CUDA does not start here"):
        require("cuda", ["CPUExecutionProvider"])
    require("cuda", [CUDA, "CPUExecutionProvider"])
    require("cpu", ["CPUExecutionProvider"])


def test_answers_of_a_gpu_are_those_of_the_cpu() -> None:
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    weights = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    answers = [Model(doubling_model(), device=device) for device in ("cpu", "cuda")]
    feeds = {answers[0].inputs[0].name: weights}
    on_cpu, on_gpu = (model.run(feeds, model.output_names)[0] for model in answers)
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-5)
    assert providers("cuda")[0][0] == CUDA
