"""Command line and environment of a training Job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.composition.contexts import stage
from tests.support.models import place, training_model
from training.__main__ import state_digest
from training.errors import TrainingError
from training.settings import parse, read_place

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Neither PyTorch nor MLflow is there.
ENTRY = (
    "import sys; sys.modules['torch'] = sys.modules['mlflow'] = None; sys.argv[0] = 'training'; import runpy;"
    "import training.data; runpy.run_module('training', run_name='__main__')"
)
ENVIRON = {
    "MLFLOW_TRACKING_URI": "https://tracking.test",
    "MODEL_BUCKET": "models",
    "JOB_NAME": "train-digits-1",
    "TRAINING_IMAGE": f"registry.test/model-digits@sha256:{'1' * 64}",
}


def test_defaults_and_arguments() -> None:
    model = training_model()
    assert parse(model, ["digits"]).parameters == model.defaults
    request = parse(
        model, ["digits", "--epochs", "3", "--learning-rate", "0.01", "--requirement", "A", "--requirement", "B"]
    )
    assert request.model == model
    assert request.requirements == ("A", "B")
    assert request.parameters == model.defaults | {"epochs": 3, "learning_rate": 0.01}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["letters"], "invalid choice: 'letters'"),
        (["digits", "--epochs", "0"], "--epochs: 0 is not allowed; it must be at least 1"),
        (["digits", "--learning-rate", "2"], "--learning-rate: 2 is not allowed; it must be above 0 and at most 1"),
        (["digits", "--seed", "x"], "--seed: invalid int value: 'x'"),
        (["digits", "--learning-rate", "nan"], "--learning-rate: nan is not allowed"),
    ],
)
def test_what_is_not_understood_ends_with_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(training_model(), arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def revision(tmp_path: Path) -> Path:
    """The file in the image."""
    file = tmp_path / "revision"
    file.write_text(f"{COMMIT}\n")
    return file


def test_the_place_of_a_run(revision: Path) -> None:
    place = read_place(ENVIRON, revision)
    assert (place.bucket, place.commit, place.device, place.experiment) == ("models", COMMIT, "cpu", None)
    assert read_place(ENVIRON | {"STELLWERK_EXPERIMENT": "vision-digits"}, revision).experiment == "vision-digits"
    revision.write_text(f"{COMMIT}+0123456789ab\n")
    assert read_place(ENVIRON, revision).commit == f"{COMMIT}+0123456789ab"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"JOB_NAME": "", "MODEL_BUCKET": ""}, "MODEL_BUCKET, JOB_NAME must be set"),
        ({"STELLWERK_DEVICE": "tpu"}, "STELLWERK_DEVICE is 'tpu'; allowed are 'cpu' and 'cuda'"),
        ({"TRAINING_IMAGE": "training:latest"}, "TRAINING_IMAGE is 'training:latest'; it must be pinned by digest"),
    ],
)
def test_variables_that_are_not_allowed(change: dict[str, str], message: str, revision: Path) -> None:
    with pytest.raises(TrainingError, match=message):
        read_place(ENVIRON | change, revision)


def test_an_image_without_its_revision_is_refused(revision: Path) -> None:
    revision.write_text("main")
    with pytest.raises(TrainingError, match="'main' is no revision: a git commit"):
        read_place(ENVIRON, revision)
    revision.unlink()
    with pytest.raises(TrainingError, match=r"revision: No such file .*; the image's build writes it"):
        read_place(ENVIRON, revision)


def test_the_digest_is_stated_where_kubernetes_reads_it(tmp_path: Path) -> None:
    state_digest("sha256:0a1b", tmp_path / "log")
    assert (tmp_path / "log").read_text() == "sha256:0a1b"
    with pytest.raises(TrainingError, match="without it the candidate cannot be released"):
        state_digest("sha256:0a1b", tmp_path / "absent" / "log")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder /app of the image."""
    stage(ROOT / "training", tmp_path / "app" / "training")
    place(tmp_path / "app" / "model")
    return tmp_path / "app"


def run_image(image: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"} | variables
    command = [sys.executable, "-c", ENTRY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=image, env=environ, check=False)


def test_a_failure_is_one_line_and_code_1(image: Path) -> None:
    result = run_image(image, "digits")
    assert result.returncode == 1, result.stderr
    (line,) = result.stdout.splitlines()
    assert "MLFLOW_TRACKING_URI" in json.loads(line)["message"]


def test_help_and_data_need_no_pytorch(image: Path) -> None:
    result = run_image(image, "digits", "--help")
    assert result.returncode == 0, result.stderr
    assert "--learning-rate" in result.stdout
    assert "step size of Adam (default: 0.001)" in " ".join(result.stdout.split())


def test_a_model_document_that_is_none_is_named(image: Path) -> None:
    (image / "model" / "model.json").write_text('{"name": "digits"}')
    result = run_image(image, "digits")
    assert result.returncode == 1, result.stderr
    assert "model/model.json: not a model's document" in json.loads(result.stdout)["message"]
