"""What a training run is told: hyperparameters from the command line, surroundings from the environment."""

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from training.errors import TrainingError

COMMIT = re.compile(r"[0-9a-f]{7,64}|uncommitted")
PINNED_IMAGE = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Hyperparameters:
    """Settings of the digits network: one hidden layer, Adam."""

    epochs: int = 40
    learning_rate: float = 1e-3
    hidden: int = 64
    batch_size: int = 32
    seed: int = 7

    def as_parameters(self) -> dict[str, int | float]:
        """Return the values under the names that run, candidate and release use."""
        return {
            "epochs": self.epochs,
            "learningRate": self.learning_rate,
            "hidden": self.hidden,
            "batchSize": self.batch_size,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Surroundings:
    """Where the run takes place and where its results go."""

    tracking_uri: str
    bucket: str
    job: str
    image: str
    commit: str
    device: str


@dataclass(frozen=True)
class Request:
    """A whole command line: model, hyperparameters and the requirements that the model answers."""

    model: str
    hyperparameters: Hyperparameters
    requirements: tuple[str, ...]


def surroundings(environ: Mapping[str, str] = os.environ) -> Surroundings:
    """Read the environment; raises TrainingError that names every variable missing or not allowed."""
    required = ("MLFLOW_TRACKING_URI", "MODEL_BUCKET", "JOB_NAME", "TRAINING_IMAGE")
    missing = [name for name in required if not environ.get(name)]
    if missing:
        raise TrainingError(f"environment: {', '.join(missing)} must be set; the training Job sets them")
    device = environ.get("STELLWERK_DEVICE", "cpu")
    if device not in ("cpu", "cuda"):
        raise TrainingError(f"environment: STELLWERK_DEVICE is {device!r}; allowed are 'cpu' and 'cuda'")
    commit = environ.get("GIT_COMMIT") or "uncommitted"
    # A release takes nothing else: better told before the training than after it.
    if not COMMIT.fullmatch(commit):
        raise TrainingError(f"environment: GIT_COMMIT is {commit!r}; allowed are a git commit and 'uncommitted'")
    if not PINNED_IMAGE.fullmatch(environ["TRAINING_IMAGE"]):
        raise TrainingError(
            f"environment: TRAINING_IMAGE is {environ['TRAINING_IMAGE']!r};"
            " it must be pinned by digest: <registry>/<repository>@sha256:<64 hexadecimal digits>"
        )
    return Surroundings(
        tracking_uri=environ["MLFLOW_TRACKING_URI"],
        bucket=environ["MODEL_BUCKET"],
        job=environ["JOB_NAME"],
        image=environ["TRAINING_IMAGE"],
        commit=commit,
        device=device,
    )


def _positive_int(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; give a whole number of at least 1")
    return value


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; give a number above 0 and up to 1")
    return value


def parse(arguments: list[str] | None = None) -> Request:
    """Parse the command line; ends the process with code 2 and the reason when it is not understood."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a model and publish a candidate.")
    models = parser.add_subparsers(dest="model", required=True, metavar="MODEL")
    digits = models.add_parser(
        "digits",
        help="handwritten digits, 8 x 8 grey values to 10 classes",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    defaults = Hyperparameters()
    digits.add_argument("--epochs", type=_positive_int, default=defaults.epochs, help="passes over the training rows")
    digits.add_argument("--learning-rate", type=_rate, default=defaults.learning_rate, help="step size of Adam")
    digits.add_argument("--hidden", type=_positive_int, default=defaults.hidden, help="units of the hidden layer")
    digits.add_argument("--batch-size", type=_positive_int, default=defaults.batch_size, help="rows per step")
    digits.add_argument("--seed", type=int, default=defaults.seed, help="seed of weights and row order")
    digits.add_argument(
        "--requirement",
        action="append",
        default=[],
        metavar="ID",
        help="requirement that the model answers; repeatable",
    )
    given = vars(parser.parse_args(arguments))
    model, requirements = given.pop("model"), tuple(given.pop("requirement"))
    return Request(model=model, hyperparameters=Hyperparameters(**given), requirements=requirements)
