"""Entry point of the training image: ``python -m training digits``.

Exit codes: 0 published, 1 failed, 2 command line not understood, 3 refused by a gate.
"""

import signal
import sys

from training.data import load
from training.errors import GateError, TrainingError
from training.log import emit
from training.settings import Request, parse, surroundings


def train(request: Request) -> None:
    """Train and publish as the command line and the environment say; raises TrainingError."""
    environment = surroundings()
    # The command line answers --help and its errors without waiting seconds for PyTorch.
    from mlflow.exceptions import MlflowException

    from training import loop, pipeline, publish, tracking

    dataset = load(request.model)
    loop.choose_device(environment.device)
    store = publish.connect()
    try:
        tracker = tracking.MlflowTracker(request, environment, dataset)
        pipeline.run(pipeline.Job(request, environment, dataset, loop.fit, tracker, store))
    except MlflowException as error:
        raise TrainingError(f"tracking server {environment.tracking_uri}: {error.message}") from error


def _stop(*_: object) -> None:
    # As an error, so that the tracked run ends as failed instead of running forever.
    raise TrainingError("stopped by SIGTERM before a candidate was published")


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit code."""
    request = parse(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        train(request)
    except GateError as error:
        emit("error", str(error), {"stellwerk.model": request.model})
        return 3
    except TrainingError as error:
        emit("error", str(error), {"stellwerk.model": request.model})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
