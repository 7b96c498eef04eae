"""The bare floor of a server: uvicorn, orjson and ONNX Runtime, one core, nothing checked and nothing logged.

`python benchmarks/programs/floor.py <model> <port>`
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import onnxruntime
import orjson
import uvicorn

Message = MutableMapping[str, Any]


class Floor:
    """Answers every POST with the model's outputs for the first input, and everything else with ``{}``."""

    def __init__(self, path: str) -> None:
        """Load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        answer = self._infer(body) if scope["method"] == "POST" else b"{}"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _infer(self, body: bytes) -> bytes:
        given = orjson.loads(body)["inputs"][0]
        array = np.array(given["data"], np.float32).reshape(given["shape"])
        results = self._session.run(self._outputs, {given["name"]: array})
        outputs = [
            {"name": name, "datatype": "FP32", "shape": result.shape, "data": result.reshape(-1)}
            for name, result in zip(self._outputs, results, strict=True)
        ]
        return orjson.dumps({"model_name": "digits", "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)


if __name__ == "__main__":
    uvicorn.run(
        Floor(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="error",
    )
