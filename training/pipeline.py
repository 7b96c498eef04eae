"""From data to candidate: train, export, measure what was exported, hold it against the gates, publish."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from training import candidate, evaluation, export, publish
from training.candidate import Artefact, RunReference
from training.data import Dataset
from training.errors import GateError
from training.export import Dense
from training.log import emit
from training.settings import Hyperparameters, Request, Surroundings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class Trained(Protocol):
    """What a training loop returns: layers on raw inputs and its own held-out scores, float32 [n, classes]."""

    @property
    def layers(self) -> tuple[Dense, ...]:
        """Layers on raw inputs."""
        ...

    @property
    def held_out_scores(self) -> NDArray[Any]:
        """Scores of the held-out rows."""
        ...


class Tracker(Protocol):
    """Where the run is recorded; see training.tracking for the one that speaks MLflow."""

    def epoch(self, epoch: int, loss: float) -> None:
        """Record the loss of an epoch."""

    def metrics(self, metrics: dict[str, float]) -> None:
        """Record the metrics of the held-out rows."""

    def register(self, artefact: Artefact, bucket: str) -> RunReference:
        """Record the model version."""
        ...

    def finish(self, candidate: dict[str, Any]) -> None:
        """End the run with its candidate."""

    def fail(self, reason: str) -> None:
        """End the run as failed."""


Fit = Callable[[Dataset, Hyperparameters, str, Callable[[int, float], None]], Trained]


@dataclass(frozen=True)
class Job:
    """All that one run works with."""

    request: Request
    surroundings: Surroundings
    dataset: Dataset
    fit: Fit
    tracker: Tracker
    store: "S3Client"


def run(job: Job) -> dict[str, Any]:
    """Return the published candidate.

    Raises GateError when the model misses a gate, TrainingError on anything else the user can put right; the
    tracked run then ends as failed, and nothing new stands under candidates.
    """
    try:
        return _run(job)
    except Exception as error:
        job.tracker.fail(str(error))
        raise


def _run(job: Job) -> dict[str, Any]:
    model, dataset = job.request.model, job.dataset
    trained = job.fit(dataset, job.request.hyperparameters, job.surroundings.device, job.tracker.epoch)
    content = export.to_onnx(trained.layers, name=model, input_name=candidate.INPUT, output_name=candidate.OUTPUT)
    # What is measured is the file that will be served, not the network it came from.
    scores = export.scores_of(content, candidate.INPUT, dataset.held_out.inputs)
    parity = export.compare(trained.held_out_scores, scores)
    metrics = evaluation.measure(scores, dataset.held_out.labels)
    job.tracker.metrics(metrics)
    gates = evaluation.apply_gates(evaluation.GATES[model], metrics)
    for gate in gates:
        emit("info" if gate.passed else "error", f"gate: {gate}", {"stellwerk.model": model})
    missed = [str(gate) for gate in gates if not gate.passed]
    if missed:
        raise GateError(f"model {model!r} is not published: {'; '.join(missed)}")
    digest = export.digest_of(content)
    artefact = Artefact(digest=digest, size=len(content), key=publish.artefact_key(model, digest))
    bucket = job.surroundings.bucket
    written = publish.put_artefact(job.store, bucket, artefact.key, content)
    emit("info", f"artefact {bucket}/{artefact.key}: {written} of {len(content)} bytes written")
    reference = job.tracker.register(artefact, bucket)
    document = candidate.build(job.request, job.surroundings, dataset, artefact, reference, metrics, gates, parity)
    job.tracker.finish(document)
    # Last, because whoever finds a candidate may rely on everything it names.
    key = publish.put_candidate(job.store, bucket, document, job.surroundings.job)
    emit("info", f"candidate {bucket}/{key}", {"stellwerk.model": model, "stellwerk.run_id": reference.run_id})
    return document
