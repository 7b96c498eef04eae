"""What a training run is given: parameters on the command line, its place in variables and in the image."""

import argparse
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.document import Model, Parameter
from training.errors import TrainingError
from training.workers import ALONE, Worker, read_worker

REVISION = re.compile(r"[0-9a-f]{7,64}(\+[0-9a-f]{12})?|unknown")
# Written by the last step of the image's build.
REVISION_FILE = Path("/etc/stellwerk/revision")
PINNED_IMAGE = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Place:
    """Where the run takes place and where its results go; `experiment` is the model's name unless given."""

    tracking_uri: str
    bucket: str
    job: str
    image: str
    commit: str
    device: str
    experiment: str | None = None
    worker: Worker = ALONE


@dataclass(frozen=True)
class Request:
    """A whole command line: model, the value of each of its parameters, and the requirements that it answers."""

    model: Model
    parameters: Mapping[str, int | float]
    requirements: tuple[str, ...]


def read_place(environ: Mapping[str, str] = os.environ, revision: Path = REVISION_FILE) -> Place:
    """Return what the variables and the image's revision file say; raise TrainingError naming what is not allowed."""
    required = ("MLFLOW_TRACKING_URI", "MODEL_BUCKET", "JOB_NAME", "TRAINING_IMAGE")
    missing = [name for name in required if not environ.get(name)]
    if missing:
        raise TrainingError(f"environment: {', '.join(missing)} must be set; the training Job sets them")
    device = environ.get("STELLWERK_DEVICE", "cpu")
    if device not in ("cpu", "cuda"):
        raise TrainingError(f"environment: STELLWERK_DEVICE is {device!r}; allowed are 'cpu' and 'cuda'")
    if not PINNED_IMAGE.fullmatch(environ["TRAINING_IMAGE"]):
        raise TrainingError(
            f"environment: TRAINING_IMAGE is {environ['TRAINING_IMAGE']!r};"
            " it must be pinned by digest: <registry>/<repository>@sha256:<64 hexadecimal digits>"
        )
    return Place(
        tracking_uri=environ["MLFLOW_TRACKING_URI"],
        bucket=environ["MODEL_BUCKET"],
        job=environ["JOB_NAME"],
        image=environ["TRAINING_IMAGE"],
        commit=_read_revision(revision),
        device=device,
        experiment=environ.get("STELLWERK_EXPERIMENT"),
        worker=read_worker(environ),
    )


def _read_revision(file: Path) -> str:
    """Return the commit that the image was built from; a release takes no other form."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise TrainingError(f"{file}: {error.strerror}; the image's build writes it, build it again") from error
    if not REVISION.fullmatch(text):
        raise TrainingError(f"{file}: {text!r} is no revision: a git commit, <commit>+<12 hex>, or unknown")
    return text


def _reader(parameter: Parameter) -> Callable[[str], int | float]:
    def read(text: str) -> int | float:
        value = parameter.kind(text)
        if not parameter.allows(value):
            limits = [
                f"{word} {limit:g}"
                for word, limit in (
                    ("at least", parameter.minimum),
                    ("above", parameter.exclusive_minimum),
                    ("at most", parameter.maximum),
                )
                if limit is not None
            ]
            raise argparse.ArgumentTypeError(f"{text} is not allowed; it must be {' and '.join(limits) or 'a number'}")
        return value

    # What argparse calls it in its own message.
    read.__name__ = parameter.kind.__name__
    return read


def parse(model: Model, arguments: list[str] | None = None) -> Request:
    """Return the command line; end the process with code 2 and the reason when it is not understood.

    The first argument is the model's name: a Job's arguments say by themselves what it trains.
    """
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a model and publish a candidate.")
    commands = parser.add_subparsers(dest="model", required=True, metavar="MODEL")
    formatter = argparse.ArgumentDefaultsHelpFormatter
    command = commands.add_parser(model.name, help=model.description, formatter_class=formatter)
    for parameter in model.parameters:
        option = f"--{parameter.name.replace('_', '-')}"
        command.add_argument(option, type=_reader(parameter), default=parameter.default, help=parameter.description)
    command.add_argument(
        "--requirement",
        action="append",
        default=[],
        metavar="ID",
        help="a further requirement that the model answers; repeatable",
    )
    given = vars(parser.parse_args(arguments))
    del given["model"]
    # A requirement of the document may be given once more.
    requirements = tuple(dict.fromkeys((*model.requirements, *given.pop("requirement"))))
    return Request(model=model, parameters=given, requirements=requirements)
