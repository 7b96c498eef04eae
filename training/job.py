"""A training Job: the pipeline, recorded by the tracking server, its results published as a candidate."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from training import candidate, examples, pipeline, publish
from training.author import Author, Run
from training.candidate import Published, RunReference, StoredObject
from training.data import Dataset
from training.frameworks import Adapter
from training.log import emit
from training.settings import Place, Request

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class Tracker(Protocol):
    """Where the run is recorded; see training.tracking for the one that speaks MLflow."""

    def log(self, metric: str, value: float, step: int) -> None:
        """Record how far the training is."""

    def metrics(self, metrics: dict[str, float]) -> None:
        """Record the metrics of the held-out rows."""

    def register(self, artefact: StoredObject, bucket: str) -> RunReference:
        """Record the model version."""
        ...

    def finish(self, candidate: dict[str, Any]) -> None:
        """End the run with its candidate."""

    def fail(self, reason: str) -> None:
        """End the run as failed."""


@dataclass(frozen=True)
class Job:
    """All that one run works with."""

    request: Request
    place: Place
    author: Author
    framework: Adapter
    dataset: Dataset
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
        with tempfile.TemporaryDirectory(prefix="stellwerk-") as folder:
            return _run(job, Path(folder))
    except Exception as error:
        job.tracker.fail(str(error))
        raise


def _run(job: Job, folder: Path) -> Outcome:
    request, dataset, model = job.request, job.dataset, job.request.model
    run_of_author = Run(job.place.device, job.tracker.log, job.place.worker)
    product = pipeline.make(model, job.author, job.framework, dataset, request.parameters, run_of_author, folder)
    job.tracker.metrics(product.measured.metrics)
    pipeline.require_gates(model, product.measured)
    published = Published(
        artefact=_put(job, product.exported.path, "onnx", "artefact"),
        examples=_put(job, examples.build(model, dataset, product.answers), "json", "examples"),
        rows=examples.rows_of(dataset),
        files={name: _put(job, path, "bin", f"file {name}") for name, path in product.exported.beside.items()},
    )
    reference = job.tracker.register(published.artefact, job.place.bucket)
    document = candidate.build(request, job.place, dataset, published, reference, product.measured)
    job.tracker.finish(document)
    # Last, because whoever finds a candidate may rely on everything it names.
    stored = publish.put_candidate(job.store, job.place.bucket, document, job.place.job)
    fields = {"stellwerk.model": model.name, "stellwerk.run_id": reference.run_id}
    emit("info", f"candidate {job.place.bucket}/{stored.key}", fields)
    return Outcome(document, stored.digest)


def _put(job: Job, content: bytes | Path, ending: str, what: str) -> StoredObject:
    """Store a content, or a file's, under its digest, and say what was written."""
    name, bucket = job.request.model.name, job.place.bucket
    wanted = publish.stored_object(name, content, ending)
    written = publish.put_object(job.store, bucket, wanted, content)
    emit("info", f"{what} {bucket}/{wanted.key}: {written} of {wanted.size} bytes written")
    return wanted
