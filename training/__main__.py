"""Entry point of a model's image: ``python -m training <model>``.

Exit codes: 0 published, 1 failed, 2 command line not understood, 3 refused by a gate.
"""

import signal
import sys
from pathlib import Path

from training.document import read_model
from training.errors import GateError, TrainingError
from training.log import emit
from training.settings import Request, parse, read_place

# Beside this package: the model's document, its code and its data files.
FOLDER = Path(__file__).resolve().parents[1] / "model"
# Kubernetes keeps what stands here at the end in the pod's status, where nobody with the store's key can write.
TERMINATION_LOG = Path("/dev/termination-log")


def train(request: Request) -> None:
    """Train and publish as the command line and the variables say, then state the candidate's digest.

    Raise TrainingError.
    """
    place = read_place()
    # The command line answers --help and its errors without waiting seconds for PyTorch.
    from mlflow.exceptions import MlflowException

    from training import author, data, frameworks, job, publish, stores, tracking, workers

    framework = frameworks.adapter(request.model.framework)
    code = author.read_author(FOLDER)
    store = publish.connect()
    dataset = data.load(request.model, code, stores.buckets(store, place.bucket))
    for note in dataset.notes:
        emit("warning", f"data of {request.model.name}: {note}", {"stellwerk.model": request.model.name})
    if place.worker.rank:
        # The first worker measures and publishes what all have trained.
        run = author.Run(place.device, lambda *_: None, place.worker)
        workers.fit(code, framework, dataset.train, request.parameters, run)
        return
    try:
        tracker = tracking.MlflowTracker(request, place, dataset)
        outcome = job.run(job.Job(request, place, code, framework, dataset, tracker, store))
    except MlflowException as error:
        raise TrainingError(f"tracking server {place.tracking_uri}: {error.message}") from error
    state_digest(outcome.digest)


def state_digest(digest: str, file: Path = TERMINATION_LOG) -> None:
    """Write the candidate's digest as the container's termination message; raise TrainingError when that fails.

    `stellwerk release` believes no candidate with another digest.
    """
    try:
        file.write_text(digest, encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{file}: {error.strerror}; without it the candidate cannot be released") from error


def _stop(*_: object) -> None:
    # As an error, so that the tracked run ends as failed instead of running forever.
    raise TrainingError("stopped by SIGTERM before a candidate was published")


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit code."""
    try:
        request = parse(read_model(FOLDER), arguments)
    except TrainingError as error:
        emit("error", str(error))
        return 1
    signal.signal(signal.SIGTERM, _stop)
    try:
        train(request)
    except GateError as error:
        emit("error", str(error), {"stellwerk.model": request.model.name})
        return 3
    except TrainingError as error:
        emit("error", str(error), {"stellwerk.model": request.model.name})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
