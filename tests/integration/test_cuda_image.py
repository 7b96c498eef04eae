"""The serving image with CUDA, built by dev: it serves on CPUs, too, and says what a node without a GPU lacks.

With STELLWERK_GPU_LAYOUT it leaves in that folder what `python -m tests.gpu` runs on, on a machine with a GPU.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.serving.runtime import SERVER
from tests.support import images
from tests.support.project import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]
SERVES = f"serving.kserve.io/inferenceservice={MODEL}"


def test_the_image_with_cuda_serves_on_cpus_and_says_what_lacks_for_a_gpu(
    project: Project, restored: Callable[[str], None]
) -> None:
    restored("dev")
    before = project.served("dev")
    assert before.training, "the demo's release is of a Job"

    def with_cuda(config: Any) -> None:
        config["stellwerk:images"].update(servingCuda=True)
        # The second server below counts CUDA's share, as one on a GPU does.
        config["stellwerk:models"][MODEL]["resources"] = {"cpu": "50m", "memory": "1536Mi"}

    project.edit("dev", with_cuda)
    project.up("dev")
    file = project.root / project.stellwerk("release", MODEL, "--job", before.training.job).stdout.strip()
    try:
        release = project.releases.load(MODEL, file.stem)
        assert release.artefact == before.artefact
        assert release.serving.image != before.serving.image
        project.stellwerk("promote", MODEL, "--to", "dev", "--release", file.stem, "--yes")
        assert project.answering("dev") == file.stem
        answer = project.ask("predict", MODEL, "--env", "dev", "--all-held-out")
        assert answer["release"] == file.stem
        assert answer["metrics"] == pytest.approx(answer["expected_metrics"], abs=1e-5)

        def in_pod(*command: str) -> tuple[str, int]:
            (pod,) = (pod["metadata"]["name"] for pod in project.pods("-n", "dev-serving", "-l", SERVES))
            done = project.run("kubectl", "-n", "dev-serving", "exec", pod, "-c", SERVER, "--", *command)
            return done.stdout + done.stderr, done.returncode

        providers, _ = in_pod(
            "python", "-c", "import onnxruntime, json; print(json.dumps(onnxruntime.get_available_providers()))"
        )
        assert "CUDAExecutionProvider" in json.loads(providers)
        # A pod of a GPU pool whose node has no GPU, or an old driver, does not compute on the CPU unsaid.
        said, code = in_pod("env", "STELLWERK_DEVICE=cuda", "PORT=18080", "python", "-m", "serving")
        assert code != 0
        assert "CUDA does not start here" in said and "driver" in said
        if layout := os.environ.get("STELLWERK_GPU_LAYOUT"):
            save(project, Path(layout))
    finally:
        file.unlink()


def save(project: Project, layout: Path) -> None:
    """Write the images that train, serve and track, and the object store's program."""
    built = project.output("images", "dev")
    with images.registry(project) as registry:
        for name, image in (("training", f"model-{MODEL}"), ("serving", "serving"), ("tracking", "mlflow")):
            images.save(registry, built[image], name, layout)
    shutil.copy(project.run("which", "versitygw").stdout.strip(), layout / "versitygw")
