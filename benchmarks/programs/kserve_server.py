"""KServe's own model server with ONNX Runtime behind it, as its documentation writes a custom model.

`python benchmarks/programs/kserve_server.py <model> <port>`
"""

import sys
from typing import Any

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Digits(Model):  # type: ignore[misc]
    """Serves the first input of an ONNX file."""

    def __init__(self, path: str) -> None:
        """Load the model."""
        super().__init__("digits")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Answer one request."""
        given = payload.inputs[0]
        results = self._session.run(self._outputs, {given.name: given.as_numpy()})
        outputs = []
        for name, result in zip(self._outputs, results, strict=True):
            output = InferOutput(name, list(result.shape), "FP32")
            output.set_data_from_numpy(result, binary_data=False)
            outputs.append(output)
        return InferResponse(payload.id or "", self.name, outputs)


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1, access_log_format=None).start(
        [Digits(sys.argv[1])]
    )
