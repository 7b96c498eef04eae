"""Command line and environment of a training Job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.__main__ import main
from training.errors import TrainingError
from training.settings import Hyperparameters, parse, surroundings

ENVIRON = {
    "MLFLOW_TRACKING_URI": "https://tracking.test",
    "MODEL_BUCKET": "models",
    "JOB_NAME": "train-digits-1",
    "TRAINING_IMAGE": f"registry.test/training@sha256:{'1' * 64}",
}


def test_defaults_and_arguments() -> None:
    assert parse(["digits"]).hyperparameters == Hyperparameters()
    request = parse(["digits", "--epochs", "3", "--learning-rate", "0.01", "--requirement", "A", "--requirement", "B"])
    assert request.model == "digits"
    assert request.requirements == ("A", "B")
    assert request.hyperparameters.as_parameters() == {
        "epochs": 3,
        "learningRate": 0.01,
        "hidden": 64,
        "batchSize": 32,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["letters"], "invalid choice: 'letters'"),
        (["digits", "--epochs", "0"], "--epochs: 0 is not allowed"),
        (["digits", "--learning-rate", "2"], "--learning-rate: 2 is not allowed"),
        (["digits", "--learning-rate", "nan"], "--learning-rate: nan is not allowed"),
    ],
)
def test_what_is_not_understood_ends_with_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_environment() -> None:
    around = surroundings(ENVIRON)
    assert (around.bucket, around.commit, around.device) == ("models", "uncommitted", "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"JOB_NAME": "", "MODEL_BUCKET": ""}, "MODEL_BUCKET, JOB_NAME must be set"),
        ({"STELLWERK_DEVICE": "tpu"}, "STELLWERK_DEVICE is 'tpu'; allowed are 'cpu' and 'cuda'"),
        ({"GIT_COMMIT": "main"}, "GIT_COMMIT is 'main'"),
        ({"TRAINING_IMAGE": "training:latest"}, "TRAINING_IMAGE is 'training:latest'; it must be pinned by digest"),
    ],
)
def test_an_environment_that_is_not_allowed(change: dict[str, str], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        surroundings(ENVIRON | change)


def test_a_failure_is_one_line_and_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main(["digits"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "MLFLOW_TRACKING_URI" in json.loads(line)["message"]


def test_help_and_data_need_no_pytorch() -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['mlflow'] = None; sys.argv[0] = 'training'; import runpy;"
    code += "import training.data; runpy.run_module('training', run_name='__main__')"
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code, "digits", "--help"], capture_output=True, text=True, cwd=root, env=os.environ
    )
    assert result.returncode == 0, result.stderr
    assert "--learning-rate" in result.stdout
