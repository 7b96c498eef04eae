"""A release that is asked at an endpoint, like a model that is loaded here: its own code answers in its own image."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from delivery.clients.endpoint import RELEASE_HEADER, Endpoint, ask
from delivery.errors import DeliveryError
from delivery.operations import examples
from infra.contract.examples import Values
from infra.contract.release import Release
from infra.contract.release import Tensor as Stated
from serving.inline import ShortRuns
from serving.model import DTYPES, Runner, Tensor

_ROWS = 64


class Asked(Runner):
    """What `client` is answered by the one release that must answer."""

    def __init__(self, release: Release, target: Endpoint, client: httpx.Client) -> None:
        """Ask `target` for what the release takes and returns."""
        sides = (release.interface.inputs, release.interface.outputs)
        inputs, outputs = (tuple(map(_tensor, side)) for side in sides)
        super().__init__(inputs, outputs, time.monotonic_ns, ShortRuns())
        self._identity, self._target, self._client = release.metadata.release, target, client

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Return the named outputs; raise DeliveryError when another release answers, or none."""
        datatypes = {tensor.name: tensor.datatype for tensor in self.inputs}
        rows, parts = len(next(iter(feeds.values()))), []
        for start in range(0, rows, _ROWS):
            some = {name: values[start : start + _ROWS] for name, values in feeds.items()}
            answer = ask(self._client, self._target, examples.request(some, datatypes), str(uuid.uuid4()))
            answering = answer.headers[RELEASE_HEADER]
            if answering != self._identity:
                raise DeliveryError(
                    f"{self._target.url}: {answering} answers, and not {self._identity}; nothing is changed"
                )
            parts.append({one.name: examples.array(one) for one in _values(self._target, answer)})
        return [np.concatenate([part[name] for part in parts]) for name in outputs]


def _tensor(stated: Stated) -> Tensor:
    datatype = stated.datatype.value
    shape = tuple(None if size == -1 else size for size in stated.shape)
    return Tensor(stated.name, datatype, DTYPES[datatype], shape)


def _values(target: Endpoint, answer: httpx.Response) -> list[Values]:
    try:
        keys = ("name", "datatype", "shape", "data")
        given = [{key: one[key] for key in keys} for one in answer.json()["outputs"]]
        return [Values.model_validate_json(json.dumps(one)) for one in given]
    except (ValueError, KeyError, TypeError):
        raise DeliveryError(
            f"{target.url}: the answer is none of a model of this project: {answer.text[:100]!r}"
        ) from None
