"""A model asked from outside, by clients that are not this project's: KServe's own, and curl."""

import asyncio
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from delivery.operations.examples import array
from infra.contract.examples import Values
from infra.contract.release import DataType

if TYPE_CHECKING:
    from kserve import InferInput

# Rows of a request: as many as a request may have are asked by curl.
_ROWS = 100
# Another processor differs in the last digits; the largest answer is 1.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Asked:
    """A model behind a gateway, and the file of the authority that has signed the gateway's certificate."""

    gateway: str
    model: str
    authority: Path

    def by_kserve(self, inputs: Sequence[Values], binary: bool) -> Mapping[str, NDArray[Any]]:
        """Return the answers to all rows by output, of KServe's Python client, some rows a request."""
        rows = inputs[0].shape[0]
        parts = asyncio.run(self._parts([values(item) for item in inputs], inputs, rows, binary))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    async def _parts(
        self, arrays: Sequence[NDArray[Any]], inputs: Sequence[Values], rows: int, binary: bool
    ) -> list[dict[str, NDArray[Any]]]:
        # Every lane reads all tests, and few of them need this: it takes a second to import.
        from kserve import InferenceRESTClient, InferRequest, RESTConfig

        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30, retries=0, verify=str(self.authority)))
        parts = []
        for start in range(0, rows, _ROWS):
            tensors = [
                _tensor(item, rows_[start : start + _ROWS], binary) for item, rows_ in zip(inputs, arrays, strict=True)
            ]
            request = InferRequest(model_name=self.model, infer_inputs=tensors)
            answer = await client.infer(self.gateway, request, model_name=self.model)
            parts.append({output.name: output.as_numpy().reshape(output.shape) for output in answer.outputs})
        return parts

    def by_curl(self, inputs: Sequence[Values]) -> Mapping[str, NDArray[Any]]:
        """Return the answers to all rows by output, of curl in one request: what the protocol says, written by hand."""
        body = {"inputs": [item.model_dump(mode="json") for item in inputs]}
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*"]
        done = subprocess.run(
            [*command, "--cacert", str(self.authority), "--header", "content-type: application/json",
             "--data-binary", "@-", f"{self.gateway}/v2/models/{self.model}/infer"],
            input=json.dumps(body), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
        outputs = json.loads(done.stdout)["outputs"]
        return {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in outputs}


def _tensor(item: Values, rows: NDArray[Any], binary: bool) -> "InferInput":
    from kserve import InferInput

    tensor = InferInput(item.name, list(rows.shape), item.datatype)
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return tensor


def values(item: Values) -> NDArray[Any]:
    """Return the values as a client has them: a text that is missing is empty."""
    made = array(item)
    if item.datatype is DataType.BYTES:
        made[made == np.array(None)] = ""
    return made


def assert_answers(answers: Mapping[str, NDArray[Any]], expected: Sequence[Values]) -> None:
    """Fail unless these are the answers, all of them, to the last rows."""
    assert set(answers) == {item.name for item in expected}
    for item in expected:
        wanted, given = values(item), answers[item.name]
        assert given.shape == wanted.shape, item.name
        if wanted.dtype.kind in "OSU":
            texts = [text.decode() if isinstance(text, bytes) else text for text in given.reshape(-1)]
            assert texts == wanted.reshape(-1).tolist(), item.name
        else:
            largest = max(1.0, float(np.abs(wanted.astype(np.float64)).max()))
            np.testing.assert_allclose(given, wanted, rtol=0, atol=_TOLERANCE * largest, err_msg=item.name)
