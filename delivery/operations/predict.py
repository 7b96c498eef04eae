"""`stellwerk predict`: asks an endpoint, through the gateway, as a client outside the cluster does."""

import uuid
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from delivery.clients.endpoint import RELEASE_HEADER, Endpoint, ask
from delivery.errors import DeliveryError
from delivery.operations import examples, metrics
from delivery.project import Project
from delivery.session import Session
from infra.contract.release import Release, Task

_BATCH = 64


def serving_release(project: Project, environment: str, model: str) -> Release:
    """Return the release that the environment's file points at; raise DeliveryError while there is none."""
    identity = project.model(environment, model).release
    if identity is None:
        raise DeliveryError(
            f"{environment} has no release of {model} yet; run `stellwerk promote {model} --to {environment}`"
        )
    return project.releases.load(model, identity)


def request_body(session: Session, environment: str, model: str, rows: int) -> bytes:
    """Return a v2 request with the first example rows of what the environment serves, for load generators."""
    return examples.body(
        examples.of_release(session, environment, serving_release(session.project, environment, model)), 0, rows
    )


def predict(session: Session, environment: str, model: str, rows: int | None) -> dict[str, Any]:
    """Return predictions for the release's example rows (all when `rows` is None) beside their labels.

    `metrics` are the task's of these rows, `expected_metrics` the release's, where all held-out rows were asked. Raise
    DeliveryError when the endpoint is not reached, refuses, or answers with several releases.
    """
    release, target = serving_release(session.project, environment, model), session.endpoint(environment, model)
    document = examples.of_release(session, environment, release)
    evaluation, output = release.evaluation, release.interface.outputs[0].name
    task = evaluation.task if evaluation else Task.OTHER
    labels, parts = document.labels[:rows], []
    requests: list[str] = []
    releases: set[str] = set()
    with target.client() as client:
        for start in range(0, len(labels), _BATCH):
            requests.append(str(uuid.uuid4()))
            body = examples.body(document, start, min(start + _BATCH, len(labels)))
            answer = ask(client, target, body, requests[-1])
            releases.add(answer.headers[RELEASE_HEADER])
            given = next(tensor for tensor in _document(target, answer)["outputs"] if tensor["name"] == output)
            parts.append(np.array(given["data"]).reshape(given["shape"]))
    if len(releases) != 1:
        raise DeliveryError(f"{target.url}: several releases answered ({', '.join(sorted(releases))}); try again")
    answers = np.concatenate(parts)
    measured = _measure(target, task, answers, np.array(labels))
    stated = evaluation.metrics if evaluation and release.data and len(labels) == release.data.rows.held_out else None
    return {
        "environment": environment,
        "model": model,
        "release": releases.pop(),
        "rows": len(labels),
        "metrics": measured,
        "expected_metrics": None if stated is None else {name: stated.get(name) for name in measured},
        "predictions": metrics.predictions(task, answers).tolist(),
        "labels": list(labels),
        "request_ids": requests,
    }


def _measure(target: Endpoint, task: Task, answers: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    try:
        return metrics.measure(task, answers, labels)
    except ValueError as error:
        raise DeliveryError(
            f"{target.url}: the answers are not those of a {task}: {error}; see `evaluation.task` in the release"
        ) from None


def send(session: Session, environment: str, model: str, body: bytes) -> Any:
    """Return the endpoint's answer to a request of the user's own (v2 JSON)."""
    serving_release(session.project, environment, model)
    target = session.endpoint(environment, model)
    with target.client() as client:
        return _document(target, ask(client, target, body, str(uuid.uuid4())))


def _document(target: Endpoint, answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise DeliveryError(f"{target.url}: the answer is not JSON: {answer.text[:100]!r}") from None
