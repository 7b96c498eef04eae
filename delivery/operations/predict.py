"""`stellwerk predict`: asks an endpoint, through the gateway, as a client outside the cluster does."""

import uuid
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from delivery.clients.endpoint import RELEASE_HEADER, Endpoint, ask, endpoint
from delivery.errors import DeliveryError
from delivery.operations.release import RELEASES
from infra.contract.release import Release
from infra.values import from_file
from training import data

_BATCH = 64


def serving_release(environment: str, model: str) -> Release:
    """The release that the environment's file points at; raises DeliveryError while there is none."""
    endpoint(environment, model)
    identity = from_file(environment).environment.models[model].release
    if identity is None:
        raise DeliveryError(
            f"{environment} has no release of {model} yet; run `stellwerk promote {model} --to {environment}`"
        )
    return RELEASES.load(model, identity)


def held_out(model: str, rows: int | None = None) -> data.Split:
    """The first held-out rows, or all of them; raises DeliveryError when the model has no data set."""
    if model not in data.LOADERS:
        raise DeliveryError(
            f"{model} has no data set of its own (known are: {', '.join(data.LOADERS)}), so there are no held-out rows "
            f"to ask with; ask with a request of your own: `stellwerk predict {model} --env … --input request.json`"
        )
    split = data.load(model).held_out
    return data.Split(split.inputs[:rows], split.labels[:rows])


def request_body(model: str, rows: int) -> bytes:
    """A v2 request with the first held-out rows, for load generators."""
    return _body(_input_name(model), held_out(model, rows).inputs)


def _input_name(model: str) -> str:
    releases = RELEASES.ids(model)
    if not releases:
        raise DeliveryError(f"{model} has no release yet; run `stellwerk release {model}`")
    return RELEASES.load(model, releases[-1]).interface.inputs[0].name


def _body(name: str, inputs: NDArray[np.float32]) -> bytes:
    tensor = {"name": name, "datatype": "FP32", "shape": list(inputs.shape), "data": inputs.reshape(-1)}
    return orjson.dumps({"inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)


def predict(environment: str, model: str, rows: int | None) -> dict[str, Any]:
    """Predictions for held-out rows (all when `rows` is None), compared with their labels and the release's word.

    Raises DeliveryError when the endpoint is not reached, refuses, or answers with several releases.
    """
    release = serving_release(environment, model)
    split = held_out(model, rows)
    target, name = endpoint(environment, model), release.interface.inputs[0].name
    predictions: list[int] = []
    requests: list[str] = []
    releases: set[str] = set()
    with target.client() as client:
        for start in range(0, len(split.labels), _BATCH):
            requests.append(str(uuid.uuid4()))
            answer = ask(client, target, _body(name, split.inputs[start : start + _BATCH]), requests[-1])
            releases.add(answer.headers[RELEASE_HEADER])
            scores = _document(target, answer)["outputs"][0]
            predictions += np.array(scores["data"]).reshape(scores["shape"]).argmax(axis=1).tolist()
    if len(releases) != 1:
        raise DeliveryError(f"{target.url}: several releases answered ({', '.join(sorted(releases))}); try again")
    return {
        "environment": environment,
        "model": model,
        "release": releases.pop(),
        "rows": len(predictions),
        "accuracy": float((np.array(predictions) == split.labels).mean()),
        "expected_accuracy": release.evaluation.metrics["accuracy"] if rows is None else None,
        "predictions": predictions,
        "labels": split.labels.tolist(),
        "request_ids": requests,
    }


def send(environment: str, model: str, body: bytes) -> Any:
    """The endpoint's answer to a request of the user's own (v2 JSON)."""
    serving_release(environment, model)
    target = endpoint(environment, model)
    with target.client() as client:
        return _document(target, ask(client, target, body, str(uuid.uuid4())))


def _document(target: Endpoint, answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise DeliveryError(f"{target.url}: the answer is not JSON: {answer.text[:100]!r}") from None
