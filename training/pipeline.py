"""From data to candidate: train, export, measure what was exported, hold it against the gates, publish."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from training import candidate, evaluation, examples, export, publish
from training.candidate import Measured, Published, RunReference, StoredObject
from training.data import Dataset
from training.errors import GateError
from training.export import Dense, Parity
from training.log import emit
from training.settings import Place, Request

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

    def register(self, artefact: StoredObject, bucket: str) -> RunReference:
        """Record the model version."""
        ...

    def finish(self, candidate: dict[str, Any]) -> None:
        """End the run with its candidate."""

    def fail(self, reason: str) -> None:
        """End the run as failed."""


Fit = Callable[[Dataset, Mapping[str, int | float], str, Callable[[int, float], None]], Trained]


@dataclass(frozen=True)
class Job:
    """All that one run works with."""

    request: Request
    place: Place
    dataset: Dataset
    fit: Fit
    tracker: Tracker
    store: "S3Client"


@dataclass(frozen=True)
class Outcome:
    """The published candidate, and the digest of the bytes it was stored as."""

    candidate: dict[str, Any]
    digest: str


def run(job: Job) -> Outcome:
    """Return the published candidate.

    Raise GateError when the model misses a gate, TrainingError on anything else the user can put right; the
    tracked run then ends as failed, and nothing new stands under candidates.
    """
    try:
        return _run(job)
    except Exception as error:
        job.tracker.fail(str(error))
        raise


def _run(job: Job) -> Outcome:
    model, dataset = job.request.model.name, job.dataset
    trained = job.fit(dataset, job.request.parameters, job.place.device, job.tracker.epoch)
    content = export.to_onnx(trained.layers, name=model, input_name=candidate.INPUT, output_name=candidate.OUTPUT)
    # What is measured is the file that will be served, not the network it came from.
    scores = export.scores_of(content, candidate.INPUT, dataset.held_out.inputs)
    measured = _measure(job, scores, export.compare(trained.held_out_scores, scores))
    names = (candidate.INPUT, candidate.OUTPUT)
    published = Published(
        artefact=_put(job, content, "onnx", "artefact"),
        examples=_put(job, examples.build(model, dataset, names, scores), "json", "examples"),
        rows=examples.rows_of(dataset),
    )
    reference = job.tracker.register(published.artefact, job.place.bucket)
    document = candidate.build(job.request, job.place, dataset, published, reference, measured)
    job.tracker.finish(document)
    # Last, because whoever finds a candidate may rely on everything it names.
    stored = publish.put_candidate(job.store, job.place.bucket, document, job.place.job)
    fields = {"stellwerk.model": model, "stellwerk.run_id": reference.run_id}
    emit("info", f"candidate {job.place.bucket}/{stored.key}", fields)
    return Outcome(document, stored.digest)


def _measure(job: Job, scores: NDArray[Any], parity: Parity) -> Measured:
    """Return metrics and gates; raise GateError naming each gate that is missed."""
    model = job.request.model
    metrics = evaluation.measure(scores, job.dataset.held_out.labels)
    job.tracker.metrics(metrics)
    gates = evaluation.apply_gates(model.gates, metrics)
    for gate in gates:
        emit("info" if gate.passed else "error", f"gate: {gate}", {"stellwerk.model": model.name})
    missed = [str(gate) for gate in gates if not gate.passed]
    if missed:
        raise GateError(f"model {model.name!r} is not published: {'; '.join(missed)}")
    return Measured(metrics, gates, parity)


def _put(job: Job, content: bytes, ending: str, what: str) -> StoredObject:
    """Store a content under its digest, and say what was written."""
    place, bucket = publish.stored_object(job.request.model.name, content, ending), job.place.bucket
    kind = "application/json" if ending == "json" else "application/octet-stream"
    written = publish.put_object(job.store, bucket, place.key, content, kind)
    emit("info", f"{what} {bucket}/{place.key}: {written} of {len(content)} bytes written")
    return place
