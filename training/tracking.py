"""Tracking of a run in MLflow, and the model version in its registry."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.tracking import MlflowClient

from training.candidate import RunReference, StoredObject
from training.data import Dataset
from training.settings import Place, Request

# MLflow takes digests of at most 36 characters; the whole one stands in the tag.
SHORT_DIGEST = 32


class MlflowTracker:
    """One MLflow run; the experiment and the registered model carry the name of the model, or the place's."""

    def __init__(self, request: Request, place: Place, dataset: Dataset) -> None:
        """Start the run with parameters, commit, image and data digest; raise MlflowException if refused."""
        self._client = MlflowClient(place.tracking_uri)
        self._model = place.experiment or request.model.name
        self.run_id: str = self._client.create_run(self._experiment(), run_name=place.job).info.run_id
        tags = {
            "mlflow.source.git.commit": place.commit,
            "stellwerk.job": place.job,
            "stellwerk.training.image": place.image,
            "stellwerk.data.digest": dataset.digest,
            "stellwerk.requirements": ",".join(request.requirements),
        }
        self._client.log_batch(
            self.run_id,
            params=[Param(key, str(value)) for key, value in request.parameters.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self._record(dataset)

    def _record(self, dataset: Dataset) -> None:
        """Record what the run reads; the data of an experiment are one row of MLflow's, which its first run makes.

        MLflow looks whether the row is there and then makes it, with nothing in between that keeps others from it:
        where two runs begin at the same moment, its database refuses the second one, whose next try finds the row.
        """
        inputs = [DatasetInput(_entity(dataset), [])]
        try:
            self._client.log_inputs(self.run_id, inputs)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(BAD_REQUEST):
                raise
            self._client.log_inputs(self.run_id, inputs)

    def _experiment(self) -> str:
        """Return the id of the model's experiment, which the first run makes; others may begin at the same moment."""
        known = self._client.get_experiment_by_name(self._model)
        if known is None:
            with _made_by_another():
                return str(self._client.create_experiment(self._model))
            known = self._client.get_experiment_by_name(self._model)
        return str(known.experiment_id)

    def log(self, metric: str, value: float, step: int) -> None:
        """Log how far the training is."""
        self._client.log_metric(self.run_id, metric, value, step=step)

    def metrics(self, metrics: dict[str, float]) -> None:
        """Log metrics of the held-out rows."""
        for name, value in metrics.items():
            self._client.log_metric(self.run_id, name, value)

    def register(self, artefact: StoredObject, bucket: str) -> RunReference:
        """Create the model version; its source is the published, content-addressed artefact itself."""
        with _made_by_another():
            self._client.create_registered_model(self._model)
        version = self._client.create_model_version(
            self._model,
            source=f"s3://{bucket}/{artefact.key}",
            run_id=self.run_id,
            tags={"stellwerk.artefact.digest": artefact.digest},
            # Nothing is copied, so there is nothing to wait for.
            await_creation_for=0,
        )
        return RunReference(experiment=self._model, run_id=self.run_id, model_version=str(version.version))

    def finish(self, candidate: dict[str, Any]) -> None:
        """Attach the candidate to the run and end it."""
        self._client.log_text(self.run_id, json.dumps(candidate, indent=2), "candidate.json")
        self._client.set_terminated(self.run_id, "FINISHED")

    def fail(self, reason: str) -> None:
        """End the run as failed, with the reason as a tag."""
        self._client.set_tag(self.run_id, "stellwerk.failure", reason)
        self._client.set_terminated(self.run_id, "FAILED")


@contextmanager
def _made_by_another() -> Iterator[None]:
    """Go on where what was to be made exists already: another run may have made it a moment ago."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _entity(dataset: Dataset) -> DatasetEntity:
    rows = {"train": len(dataset.train), "heldOut": len(dataset.held_out)}
    stored = (dataset.source or "").startswith("s3://")
    return DatasetEntity(
        name=dataset.name,
        digest=dataset.digest.removeprefix("sha256:")[:SHORT_DIGEST],
        source_type="s3" if stored else "code",
        source=json.dumps(
            ({"uri": dataset.source} if stored else {}) | {"tags": {"stellwerk.data.digest": dataset.digest}}
        ),
        profile=json.dumps({"rows": rows, "inputs": list(dataset.train.inputs)}),
    )
